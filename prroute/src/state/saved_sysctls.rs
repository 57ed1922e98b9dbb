//! Old values of sysctls, to be kept across restarts.

use std::collections::BTreeMap;

use super::observed::{Link, Observed};
use super::plan::{Op, Plan, RpFilterChange};
use super::uplink::Ifindex;

/// What was found and set on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSysctl {
    pub device: String,
    pub mac: Option<[u8; 6]>,
    pub old: u8,
    pub set: u8,
    /// `false` from before the value is written, or the old one written back, until that is known to
    /// have been done.
    pub applied: bool,
}

/// The old `rp_filter` of every interface that prroute made loose, by ifindex.
///
/// Write it down between [`SavedSysctls::begin`] and applying the plan: whatever happens then,
/// the old value is known. An entry outlives a change by the administrator: it is how prroute
/// knows to stand back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedSysctls {
    pub(crate) rp_filter: BTreeMap<u32, SavedSysctl>,
}

impl SavedSysctls {
    pub fn is_empty(&self) -> bool {
        self.rp_filter.is_empty()
    }

    /// The entry for a link. A device that only took over the ifindex has none.
    pub fn get(&self, link: &Link) -> Option<&SavedSysctl> {
        self.rp_filter.get(&link.ifindex.0).filter(|saved| is_for(saved, link))
    }

    /// The entry of a value that was set, whether or not it still is.
    pub fn applied(&self, link: &Link) -> Option<&SavedSysctl> {
        self.get(link).filter(|saved| saved.applied)
    }

    /// Keeps up with the names and MAC addresses of the devices: one may get another name today and
    /// another address tomorrow. What an earlier process was about to write, or to write back, when it was
    /// killed is in force where the value is the one that was set.
    pub fn follow(&mut self, links: &[Link]) {
        for link in links {
            if let Some(saved) = self.rp_filter.get_mut(&link.ifindex.0)
                && is_for(saved, link)
            {
                link.name.clone_into(&mut saved.device);
                saved.mac = link.mac;
                saved.applied |= link.rp_filter == Some(saved.set);
            }
        }
    }

    /// Remembers the old values of what the plan will loosen, and that what it will restore may be the
    /// old value from now on; forgets devices that are gone. One that came back under its name has another ifindex, and
    /// the kernel's own value.
    pub fn begin(&mut self, plan: &Plan, observed: &Observed) {
        self.rp_filter.retain(|ifindex, saved| {
            observed.link(Ifindex(*ifindex)).is_some_and(|link| is_for(saved, link))
        });
        for change in loosened(plan) {
            let mac = observed.link(change.ifindex).and_then(|link| link.mac);
            let device = change.device.clone();
            let (old, set) = (change.from, change.to);
            let saved = SavedSysctl { device, mac, old, set, applied: false };
            self.rp_filter.insert(change.ifindex.0, saved);
        }
        for change in restored(plan) {
            if let Some(saved) = self.rp_filter.get_mut(&change.ifindex.0) {
                saved.applied = false;
            }
        }
    }

    /// As much of the plan was carried out as is `in_force`; the rest of it had no effect, or is
    /// still open.
    pub fn record_outcome(&mut self, plan: &Plan, in_force: &Plan, is_open: impl Fn(&Op) -> bool) {
        let (ours, not_ours): (Vec<Op>, Vec<Op>) =
            plan.ops.iter().filter(|op| op.is_sysctl()).cloned().partition(|op| match op {
                // Without effect: somebody else has written it meanwhile, and it is theirs.
                Op::LoosenRpFilter(_) => in_force.ops.contains(op),
                // Without effect: it is another value by now, and needs no going back.
                _ => !is_open(op),
            });
        self.commit(&Plan { ops: ours });
        self.abort(&Plan { ops: not_ours });
    }

    /// The plan was applied.
    pub fn commit(&mut self, plan: &Plan) {
        for change in loosened(plan) {
            if let Some(saved) = self.rp_filter.get_mut(&change.ifindex.0) {
                saved.applied = true;
            }
        }
        for change in restored(plan) {
            self.rp_filter.remove(&change.ifindex.0);
        }
    }

    /// The plan failed and was rolled back.
    pub fn abort(&mut self, plan: &Plan) {
        for change in loosened(plan) {
            self.rp_filter.remove(&change.ifindex.0);
        }
    }
}

fn loosened(plan: &Plan) -> impl Iterator<Item = &RpFilterChange> {
    plan.ops.iter().filter_map(|op| match op {
        Op::LoosenRpFilter(change) => Some(change),
        _ => None,
    })
}

fn restored(plan: &Plan) -> impl Iterator<Item = &RpFilterChange> {
    plan.ops.iter().filter_map(|op| match op {
        Op::RestoreRpFilter(change) => Some(change),
        _ => None,
    })
}

/// A renamed device keeps its MAC, a device with another MAC its name.
fn is_for(saved: &SavedSysctl, link: &Link) -> bool {
    saved.device == link.name || (saved.mac.is_some() && saved.mac == link.mac)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::link;
    use super::*;

    #[test]
    fn a_device_that_comes_and_goes_leaves_no_old_values() {
        let mut saved = SavedSysctls::default();
        for ifindex in [7, 8, 9] {
            let observed =
                Observed { links: vec![link(ifindex, "ppp0", None)], ..Observed::default() };
            let device = "ppp0".to_owned();
            let change = RpFilterChange { ifindex: Ifindex(ifindex), device, from: 1, to: 2 };
            let plan = Plan { ops: vec![Op::LoosenRpFilter(change)] };
            saved.begin(&plan, &observed);
            saved.commit(&plan);
            assert_eq!(saved.rp_filter.keys().collect::<Vec<_>>(), [&ifindex]);
        }
        // A renamed one is still there.
        let renamed = Link { name: "ppp1".to_owned(), ..link(9, "ppp0", None) };
        saved.begin(&Plan::default(), &Observed { links: vec![renamed], ..Observed::default() });
        assert_eq!(saved.rp_filter.len(), 1);
    }
}
