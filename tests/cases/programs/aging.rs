//! Time that passes in the tables: stamps of the past instead of waiting.

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData};
use prroute_common::address::{Address4, Address6, LocalAddress};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_common::time::{MASK, Ticks};

use super::fixture::Fixture;

/// Makes everything that the programs noted happen so much earlier.
pub(crate) fn age(fixture: &Fixture, by: Ticks) {
    for name in [names::FLOWS4, names::NEW4] {
        flows::<FlowKey4>(map(fixture, name, Map::LruHashMap), by);
    }
    for name in [names::FLOWS6, names::NEW6] {
        flows::<FlowKey6>(map(fixture, name, Map::LruHashMap), by);
    }
    exposure::<Address4>(map(fixture, names::ADDRESSES4, Map::HashMap), by);
    exposure::<Address6>(map(fixture, names::ADDRESSES6, Map::HashMap), by);
    let mut openings = fixture.openings();
    for slot in fixture.noted() {
        let word = openings.get(&slot, 0).unwrap();
        let (others, time) = (word & !u64::from(MASK), word as Ticks & MASK);
        openings.set(slot, others | u64::from(before(time, by)), 0).unwrap();
    }
    let mut uplinks: Array<MapData, Ticks> =
        map(fixture, names::EXPOSED, Map::Array).try_into().unwrap();
    for id in 0..uplinks.len() {
        let exposed_at = before(uplinks.get(&id, 0).unwrap(), by);
        uplinks.set(id, exposed_at, 0).unwrap();
    }
}

fn map(fixture: &Fixture, name: &str, kind: fn(MapData) -> Map) -> Map {
    kind(MapData::from_pin(fixture.pin(name)).unwrap())
}

fn flows<K: Pod>(map: Map, by: Ticks) {
    let mut table: HashMap<MapData, K, Flow> = map.try_into().unwrap();
    let entries: Vec<(K, Flow)> = table.iter().map(Result::unwrap).collect();
    for (key, flow) in entries {
        let last_out = before(flow.last_out(), by);
        let aged = match (flow.last_out(), flow.is_answered()) {
            (0, _) => flow,
            (_, true) => flow.with_last_out(last_out),
            // The host has asked once.
            (_, false) => Flow::by_host(flow.uplink(), flow.generation(), last_out),
        };
        table.insert(key, aged.with_last_in(before(flow.last_in(), by)), 0).unwrap();
    }
}

fn exposure<A: Pod>(map: Map, by: Ticks) {
    let mut table: HashMap<MapData, A, LocalAddress> = map.try_into().unwrap();
    let entries: Vec<(A, LocalAddress)> = table.iter().map(Result::unwrap).collect();
    for (key, local) in entries {
        let exposed_at = before(local.exposed_at, by);
        table.insert(key, LocalAddress { exposed_at, ..local }, 0).unwrap();
    }
}

/// 0 stands for never.
fn before(stamp: Ticks, by: Ticks) -> Ticks {
    match stamp {
        0 => 0,
        stamp => (stamp.wrapping_sub(by) & MASK).max(1),
    }
}
