//! Time that passes for a fixture.

use prroute_common::time::Ticks;

use super::aging;
use super::fixture::Fixture;

impl Fixture {
    /// Makes everything that the programs noted happen so much earlier.
    pub(crate) fn age(&self, by: Ticks) {
        aging::age(|name| self.pin(name), by);
    }

    /// Likewise, but for SYNs in the cache, where there are none.
    pub(crate) fn age_but_syns(&self, by: Ticks) {
        aging::age_but_syns(|name| self.pin(name), by);
    }
}
