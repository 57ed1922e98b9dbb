//! Ids of uplinks: allocated once, kept across restarts and reboots; flows are never inherited by a
//! reused ifindex.

use std::collections::{BTreeMap, BTreeSet};

use prroute_common::uplink::MAX_UPLINKS;

use super::observed::Link;
use super::remembered::{Recall, RememberedId};
use super::uplink::{Discovered, Ifindex, Skipped, Uplink, UplinkId};

/// Why a device without an id is not managed.
pub const NO_ID_LEFT: &str = "all 255 ids are in use";

/// An id that was given to a device, now or earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownId {
    pub id: UplinkId,
    pub generation: u16,
    pub ifindex: Ifindex,
    pub mac: Option<[u8; 6]>,
}

/// Gives every discovered interface an id, with nothing remembered from before this boot.
pub fn allocate(known: &[KnownId], discovered: Vec<Discovered>) -> Vec<Uplink> {
    allocate_recalling(known, Recall::NOTHING, discovered).0
}

/// Gives every discovered interface an id. `known` are those of this boot.
///
/// * The same ifindex and MAC keep id and generation.
/// * Another ifindex is another device to flows: they are stale by a generation that is raised. The
///   id, and with it the number of the table, is the one that is remembered for the device: by name
///   and hardware address; by hardware address alone, after a rename; by name alone, after the
///   hardware was replaced. Without either, by the MAC that is known from this boot.
/// * Any other device gets an id that belongs to nobody, or, when there is none, the one that was
///   unused for longest. Several are served by their names: the kernel's order decides nothing.
///
/// Devices beyond the 255th get no id and are skipped.
pub fn allocate_recalling(
    known: &[KnownId],
    recall: Recall<'_>,
    discovered: Vec<Discovered>,
) -> (Vec<Uplink>, Vec<Skipped>) {
    // One entry per id: the latest word on it.
    let known: BTreeMap<UplinkId, KnownId> = known.iter().map(|k| (k.id, *k)).collect();
    let next = |id| known.get(&id).map_or(1, |k| k.generation.wrapping_add(1));
    let mut given = Given { devices: &discovered, ids: vec![None; discovered.len()] };

    given.each(|device, free| {
        let same = |k: &&KnownId| k.ifindex == device.ifindex && k.mac == device.mac && free(k.id);
        known.values().find(same).map(|k| (k.id, k.generation))
    });
    for belongs in [Recall::is_same, Recall::is_renamed, Recall::is_successor] {
        given.each(|device, free| {
            let its = |entry: &&RememberedId| free(entry.id) && belongs(&recall, entry, device);
            recall.remembered.iter().find(its).map(|entry| (entry.id, next(entry.id)))
        });
    }
    let last_used = |id| recall.remembered.iter().find(|r| r.id == id).map(|r| r.last_used);
    given.each(|device, free| {
        let back = |k: &&KnownId| {
            k.mac.is_some() && k.mac == device.mac && last_used(k.id).is_none() && free(k.id)
        };
        known.values().find(back).map(|k| (k.id, next(k.id)))
    });
    let all = || (1..MAX_UPLINKS).filter_map(|n| u16::try_from(n).ok()).map(UplinkId);
    given.each_by_name(|_, free| {
        let is_nobodys = |id: &UplinkId| !known.contains_key(id) && last_used(*id).is_none();
        let nobodys = all().filter(|id| free(*id)).find(is_nobodys);
        let id = nobodys.or_else(|| all().filter(|id| free(*id)).min_by_key(|id| last_used(*id)));
        id.map(|id| (id, next(id)))
    });

    let ids = given.ids;
    let (mut uplinks, mut skipped) = (Vec::new(), Vec::new());
    for (device, id) in discovered.into_iter().zip(ids) {
        match id {
            Some((id, generation)) => uplinks.push(Uplink { id, generation, device }),
            None => skipped.push(Skipped {
                name: device.name,
                ifindex: device.ifindex,
                reason: NO_ID_LEFT.to_owned(),
            }),
        }
    }
    (uplinks, skipped)
}

/// The ids that devices have so far, with their generations.
struct Given<'a> {
    devices: &'a [Discovered],
    ids: Vec<Option<(UplinkId, u16)>>,
}

impl Given<'_> {
    /// Asks for every device without an id; what is `free` is nobody's yet.
    fn each(
        &mut self,
        choose: impl Fn(&Discovered, &dyn Fn(UplinkId) -> bool) -> Option<(UplinkId, u16)>,
    ) {
        self.in_order((0..self.devices.len()).collect(), choose);
    }

    fn each_by_name(
        &mut self,
        choose: impl Fn(&Discovered, &dyn Fn(UplinkId) -> bool) -> Option<(UplinkId, u16)>,
    ) {
        let mut order: Vec<usize> = (0..self.devices.len()).collect();
        order.sort_by_cached_key(|&n| by_number(&self.devices[n].name));
        self.in_order(order, choose);
    }

    fn in_order(
        &mut self,
        order: Vec<usize>,
        choose: impl Fn(&Discovered, &dyn Fn(UplinkId) -> bool) -> Option<(UplinkId, u16)>,
    ) {
        let mut taken: BTreeSet<UplinkId> = self.ids.iter().flatten().map(|(id, _)| *id).collect();
        for n in order {
            if self.ids[n].is_none() {
                self.ids[n] = choose(&self.devices[n], &|id| !taken.contains(&id));
                taken.extend(self.ids[n].map(|(id, _)| id));
            }
        }
    }
}

/// `eth2` comes before `eth10`.
fn by_number(name: &str) -> (String, usize, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].trim_start_matches('0');
    (stem.to_owned(), number.len(), number.to_owned())
}

/// Follows a change of MAC address: an interface that keeps its index and its name is the device
/// it was, and its flows go on. `before` is what was managed when the ids were last given, by name.
pub fn follow_macs(known: &mut [KnownId], before: &[(KnownId, &str)], links: &[Link]) {
    for known in known {
        let is = links.iter().find(|link| link.ifindex == known.ifindex);
        if let Some(is) = is
            && before.contains(&(*known, is.name.as_str()))
            && is.mac.is_some()
            && known.mac.is_some()
        {
            known.mac = is.mac;
        }
    }
}

/// What to know from now on: the ids in use, and those of devices that are gone.
pub fn remember(known: &[KnownId], uplinks: &[Uplink]) -> Vec<KnownId> {
    let mut all: BTreeMap<UplinkId, KnownId> = known.iter().map(|k| (k.id, *k)).collect();
    all.extend(uplinks.iter().map(|uplink| (uplink.id, uplink.into())));
    all.into_values().collect()
}

impl From<&Uplink> for KnownId {
    fn from(Uplink { id, generation, device }: &Uplink) -> Self {
        Self { id: *id, generation: *generation, ifindex: device.ifindex, mac: device.mac }
    }
}

#[cfg(test)]
mod tests;
