//! From the datapath to rules and back: the flags of a family stay until its rules are in force.

use prroute_common::uplink::{MAX_UPLINKS, UplinkFacts, flag};

use crate::config::OwnSource;
use crate::datapath::error::Result;
use crate::datapath::tables::Tables;
use crate::state::observed::Family;
use crate::state::own_source::OwnSources;
use crate::state::uplink::Uplink;

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

impl Tables {
    /// Rules are in force for what the datapath is to keep no more.
    ///
    /// # Errors
    ///
    /// Tells what failed first, after everything was tried.
    pub fn release_own_source(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let mut result = Ok(());
        for uplink in uplinks {
            let written = self.active_facts(u32::from(uplink.id.0)).and_then(|facts| {
                let Some(facts) = facts else { return Ok(()) };
                let flags = facts.flags & !released(uplink.device.own_source);
                if flags == facts.flags {
                    return Ok(());
                }
                self.write_facts(&UplinkFacts { flags, ..facts })?;
                let mut devices = uplink.device.devices();
                devices.try_for_each(|ifindex| self.write_slot(uplink, ifindex))
            });
            result = result.and(written);
        }
        result
    }

    /// What keeps the host's own sources, as the programs have it.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn own_source(&self) -> Result<OwnSources> {
        let mut flags = 0;
        for id in 1..MAX_UPLINKS {
            flags |= self.active_facts(id)?.map_or(0, |facts| facts.flags);
        }
        Ok(of_flags(flags))
    }

    /// Not of a family that the programs keep although they are to keep it no more.
    pub(super) fn remove_main_routes(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let in_force = self.own_source()?;
        let mut result = Ok(());
        for family in Family::BOTH {
            let is_wanted = |uplink: &Uplink| uplink.device.own_source.is_datapath(family);
            if uplinks.iter().any(is_wanted) || !in_force.is_datapath(family) {
                result = result.and(self.main_routes.remove_others(uplinks, family));
            }
        }
        result
    }
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
