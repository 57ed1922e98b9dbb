//! Ids of uplinks: allocated once, kept across restarts, never inherited by a reused ifindex.

use std::collections::BTreeMap;

use prroute_common::uplink::MAX_UPLINKS;

use super::observed::Link;
use super::uplink::{Discovered, Ifindex, Uplink, UplinkId};

/// An id that was given to a device, now or earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownId {
    pub id: UplinkId,
    pub generation: u16,
    pub ifindex: Ifindex,
    pub mac: Option<[u8; 6]>,
}

/// Gives every discovered interface an id.
///
/// * The same ifindex and MAC keep id and generation.
/// * The same MAC under a new ifindex is a device that came back: the id stays, the generation
///   is raised, so that flows through the lost device are stale.
/// * Any other device gets an id that was never used, or, when there is none, one whose device
///   is not there, with its generation raised. Several are served by their names: indexes, and
///   so the kernel's order, may be others after the next boot, and with them the numbers of the
///   tables.
///
/// Devices beyond the 255th get no id and are left out.
pub fn allocate(known: &[KnownId], discovered: Vec<Discovered>) -> Vec<Uplink> {
    // One entry per id: the latest word on it.
    let known: BTreeMap<UplinkId, KnownId> = known.iter().map(|k| (k.id, *k)).collect();
    let mut given: BTreeMap<UplinkId, u16> = BTreeMap::new();
    let mut ids: Vec<Option<(UplinkId, u16)>> = vec![None; discovered.len()];

    for (device, id) in discovered.iter().zip(&mut ids) {
        let same = |k: &&KnownId| k.ifindex == device.ifindex && k.mac == device.mac;
        if let Some(k) = known.values().filter(|k| !given.contains_key(&k.id)).find(same) {
            given.insert(k.id, k.generation);
            *id = Some((k.id, k.generation));
        }
    }
    for (device, id) in discovered.iter().zip(&mut ids).filter(|(_, id)| id.is_none()) {
        let back = |k: &&KnownId| k.mac.is_some() && k.mac == device.mac;
        if let Some(k) = known.values().filter(|k| !given.contains_key(&k.id)).find(back) {
            let generation = k.generation.wrapping_add(1);
            given.insert(k.id, generation);
            *id = Some((k.id, generation));
        }
    }
    let mut new: Vec<_> = discovered.iter().zip(&mut ids).filter(|(_, id)| id.is_none()).collect();
    new.sort_by_cached_key(|(device, _)| by_number(&device.name));
    for (_, id) in new {
        let all = || (1..MAX_UPLINKS).filter_map(|n| u16::try_from(n).ok()).map(UplinkId);
        let unused = || all().find(|n| !given.contains_key(n) && !known.contains_key(n));
        let reused = || all().find(|n| !given.contains_key(n));
        *id = unused().or_else(reused).map(|n| {
            let generation = known.get(&n).map_or(1, |k| k.generation.wrapping_add(1));
            given.insert(n, generation);
            (n, generation)
        });
    }

    discovered
        .into_iter()
        .zip(ids)
        .filter_map(|(device, id)| {
            let Some((id, generation)) = id else {
                tracing::warn!(uplink = device.name, "not managed: all {MAX_UPLINKS} ids in use");
                return None;
            };
            Some(Uplink { id, generation, device })
        })
        .collect()
}

/// `eth2` comes before `eth10`.
fn by_number(name: &str) -> (String, usize, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].trim_start_matches('0');
    (stem.to_owned(), number.len(), number.to_owned())
}

/// Follows a change of MAC address: an interface that keeps its index and its name is the device
/// it was, and its flows go on. `before` is what was managed when the ids were last given.
pub fn follow_macs(known: &mut [KnownId], before: &[Uplink], links: &[Link]) {
    for known in known {
        let was = before.iter().find(|uplink| {
            uplink.id == known.id
                && uplink.generation == known.generation
                && uplink.device.ifindex == known.ifindex
        });
        let is = links.iter().find(|link| link.ifindex == known.ifindex);
        if let (Some(was), Some(is)) = (was, is)
            && was.device.name == is.name
            && was.device.mac == known.mac
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
    for uplink in uplinks {
        let Uplink { id, generation, device } = uplink;
        let entry =
            KnownId { id: *id, generation: *generation, ifindex: device.ifindex, mac: device.mac };
        all.insert(*id, entry);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests;
