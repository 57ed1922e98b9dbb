//! Time that passes for a fixture.

use prroute_common::time::Ticks;

use super::aging;
use super::fixture::Fixture;

impl Fixture {
    /// Makes everything that the programs noted happen so much earlier.
    pub(crate) fn age(&self, by: Ticks) {
        aging::age(|name| self.pin(name), by);
    }

    /// Likewise, but of the SYN cache only these slots.
    pub(crate) fn age_with(&self, by: Ticks, slots: &[u32]) {
        aging::age_with(|name| self.pin(name), by, slots.iter().copied());
    }

    /// Likewise, where no SYN is in the cache.
    pub(crate) fn age_but_syns(&self, by: Ticks) {
        self.age_with(by, &[]);
    }
}
