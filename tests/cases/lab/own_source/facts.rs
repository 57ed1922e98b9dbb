//! What the programs know of own sources, as their tables have it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, LpmTrie, Map, MapData};
use prroute_common::address::octets4;
use prroute_common::names;
use prroute_common::uplink::{MAX_UPLINKS, OnLink4, OnLink6, UplinkFacts, flag};
use prroute_tests::prroute::{self, Instance};

fn map<T: TryFrom<Map, Error: std::error::Error + Send + Sync + 'static>>(
    prroute: &Instance<'_>,
    name: &str,
    kind: fn(MapData) -> Map,
) -> Result<T> {
    let layout = format!("v{}", prroute_common::LAYOUT_VERSION);
    let pin = prroute::pins(prroute.name()).join(layout).join(name);
    let data = MapData::from_pin(&pin).with_context(|| format!("open {}", pin.display()))?;
    T::try_from(kind(data)).with_context(|| format!("open {}", pin.display()))
}

/// The flags of every uplink that is known, by id.
pub(crate) fn flags(prroute: &Instance<'_>) -> Result<Vec<u32>> {
    let active: Array<MapData, u32> = map(prroute, names::ACTIVE_FACTS, Map::Array)?;
    let facts: Array<MapData, UplinkFacts> = map(prroute, names::UPLINK_FACTS, Map::Array)?;
    let mut all = Vec::new();
    for id in 1..MAX_UPLINKS {
        match active.get(&id, 0)? {
            0 => {}
            index => all.push(facts.get(&index, 0)?.flags),
        }
    }
    Ok(all)
}

/// Uplink ids and prefixes of the tables of both families.
pub(crate) fn main_routes(prroute: &Instance<'_>) -> Result<BTreeSet<(u32, String)>> {
    let mut all = BTreeSet::new();
    let v4: LpmTrie<MapData, OnLink4, u32> = map(prroute, names::MAIN_ROUTES4, Map::LpmTrie)?;
    for key in v4.keys() {
        let key = key?;
        let OnLink4 { uplink, address } = key.data();
        let (address, length) = (Ipv4Addr::from(octets4(address)), key.prefix_len() - 32);
        all.insert((u32::from_be_bytes(uplink), format!("{address}/{length}")));
    }
    let v6: LpmTrie<MapData, OnLink6, u32> = map(prroute, names::MAIN_ROUTES6, Map::LpmTrie)?;
    for key in v6.keys() {
        let key = key?;
        let OnLink6 { uplink, address } = key.data();
        let octets: [u8; 16] = bytemuck::cast(address);
        let (address, length) = (Ipv6Addr::from(octets), key.prefix_len() - 32);
        all.insert((u32::from_be_bytes(uplink), format!("{address}/{length}")));
    }
    Ok(all)
}

/// Which families' own sources the programs keep, on every uplink.
pub(crate) fn kept(prroute: &Instance<'_>) -> Result<(bool, bool)> {
    let flags = flags(prroute)?;
    let is_set = |flag: u32| -> Result<bool> {
        let count = flags.iter().filter(|flags| **flags & flag != 0).count();
        ensure!(count == 0 || count == flags.len(), "{count} of {} uplinks", flags.len());
        Ok(count > 0)
    };
    Ok((is_set(flag::OWN_SOURCE4)?, is_set(flag::OWN_SOURCE6)?))
}
