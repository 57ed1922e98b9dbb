//! Which families of addresses this host uses.

use super::observed::{Address, Family, Observed, Route, is_global};
use super::per_family::PerFamily;

/// Some of the two families.
pub type Families = PerFamily<bool>;

impl Families {
    pub const BOTH: Self = Self { v4: true, v6: true };

    /// Those of which the host has an address, or a route to one, that is neither loopback nor
    /// link-local: nothing of another family can be asked over its uplinks, and answered.
    pub fn used(observed: &Observed) -> Self {
        let is_used = |family: Family| {
            let address = |address: &Address| {
                Family::of_net(&address.net) == family && is_global(&address.net.addr())
            };
            let route =
                |route: &Route| route.family() == family && is_global(&route.destination.network());
            observed.addresses.iter().any(address) || observed.routes.iter().any(route)
        };
        Self::from_fn(is_used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::Host;

    fn used(host: &Host) -> (bool, bool) {
        let Families { v4, v6 } = Families::used(&host.0);
        (v4, v6)
    }

    #[test]
    fn a_family_is_used_once_the_host_has_an_address_of_it() {
        let host = || Host::new().nic("eth0");
        assert_eq!(used(&host()), (false, false), "loopback alone");
        assert_eq!(used(&host().address("eth0", "fe80::1/64")), (false, false));
        assert_eq!(used(&host().address("eth0", "192.0.2.1/24")), (true, false));
        assert_eq!(used(&host().address("lo", "2001:db8::1/128")), (false, true));
        let guests = host().route_with("eth0", "fd00:1::/64", Some("fe80::2"), 254, 0, 4);
        assert_eq!(used(&guests), (false, true), "hosts behind this one");
    }
}
