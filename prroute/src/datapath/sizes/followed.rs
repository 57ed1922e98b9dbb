//! Whether tables that are in use have the sizes that a configuration asks for. A map keeps its size
//! for as long as it is pinned.

use super::{Demand, Machine, Sizes, is_small};
use crate::state::families::Families;

impl Sizes {
    /// Whether all tables in use are of the size that `flows` gives them. By default the sizes also
    /// depend on what else was in use when a table was made: any of those is right.
    pub fn follow(&self, machine: Machine, flows: Option<u32>) -> bool {
        let plans: Vec<Self> = demands(flows).map(|demand| Self::plan(machine, demand)).collect();
        self.entries.iter().enumerate().all(|(table, entries)| {
            is_small(*entries) || plans.iter().any(|plan| plan.entries[table] == *entries)
        })
    }
}

fn demands(flows: Option<u32>) -> impl Iterator<Item = Demand> {
    let families =
        [Families::BOTH, Families { v4: true, v6: false }, Families { v4: false, v6: true }];
    let both = families.into_iter().flat_map(|families| {
        [true, false].map(|udp_source| Demand { flows: None, families, udp_source })
    });
    // A number of flows means the same whatever else is in use.
    both.map(move |demand| Demand { flows, ..demand }).take(if flows.is_some() { 1 } else { 6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { memory: 4 << 30, cpus: 2 };

    fn made_for(flows: Option<u32>, families: Families, udp_source: bool) -> Sizes {
        Sizes::plan(MACHINE, Demand { flows, families, udp_source })
    }

    #[test]
    fn tables_follow_the_number_they_were_made_for_and_no_other() {
        let sizes = made_for(Some(8_192), Families::BOTH, true);
        assert!(sizes.follow(MACHINE, Some(8_192)));
        assert!(!sizes.follow(MACHINE, Some(65_536)));
        assert!(!sizes.follow(MACHINE, None));
    }

    #[test]
    fn the_default_is_in_force_whatever_was_in_use_when_the_tables_were_made() {
        for (families, udp_source) in [
            (Families::BOTH, true),
            (Families { v4: true, v6: false }, true),
            (Families { v4: false, v6: true }, false),
        ] {
            let sizes = made_for(None, families, udp_source);
            assert!(sizes.follow(MACHINE, None), "{sizes}");
            assert!(!sizes.follow(MACHINE, Some(4_096)), "{sizes}");
        }
    }
}
