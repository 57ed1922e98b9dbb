//! From the datapath to rules and back: the flags of a family stay until its rules are in force.

use prroute_common::uplink::{UplinkFacts, flag};

use crate::config::OwnSource;
use crate::state::observed::Family;
use crate::state::own_source::OwnSources;

/// The flags that say what the datapath does for a family's own sources.
const fn flags(family: Family) -> u32 {
    match family {
        Family::V4 => flag::OWN_SOURCE4 | flag::MAIN_ROUTES4,
        Family::V6 => flag::OWN_SOURCE6 | flag::MAIN_ROUTES6,
    }
}

/// Flags that have to go.
pub(super) fn released(own_source: OwnSources) -> u32 {
    let by_rules = Family::BOTH.into_iter().filter(|family| !own_source.is_datapath(*family));
    by_rules.fold(0, |all, family| all | flags(family))
}

/// Flags in force that have to go, but not yet.
pub(super) fn held(old: Option<&UplinkFacts>, new: &UplinkFacts, own_source: OwnSources) -> u32 {
    let old = old.filter(|old| (old.id, old.generation) == (new.id, new.generation));
    old.map_or(0, |old| old.flags & released(own_source))
}

pub(super) fn of_flags(flags: u32) -> OwnSources {
    let of = |flag| match flags & flag {
        0 => OwnSource::Rules,
        _ => OwnSource::Datapath,
    };
    OwnSources { v4: of(flag::OWN_SOURCE4), v6: of(flag::OWN_SOURCE6) }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    const V6_ONLY: OwnSources = OwnSources { v4: OwnSource::Rules, v6: OwnSource::Datapath };

    #[test]
    fn a_family_is_kept_by_the_datapath_until_its_rules_are_in_force() {
        let all = flags(Family::V4) | flags(Family::V6) | flag::UP;
        let new = UplinkFacts { id: 2, generation: 1, ..UplinkFacts::zeroed() };
        let old = UplinkFacts { flags: all, ..new };
        assert_eq!(held(Some(&old), &new, V6_ONLY), flags(Family::V4));
        assert_eq!(all & !released(V6_ONLY), flags(Family::V6) | flag::UP);
        assert_eq!(of_flags(all & !released(V6_ONLY)), V6_ONLY);
        // Another device, or nothing before.
        let other = UplinkFacts { generation: 2, ..old };
        assert_eq!(held(Some(&other), &new, V6_ONLY) | held(None, &new, V6_ONLY), 0);
    }
}
