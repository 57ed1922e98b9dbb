//! Time that passes in the tables: stamps of the past instead of waiting.
#![expect(clippy::unwrap_used, reason = "a map that cannot be read fails its test")]

use std::path::{Path, PathBuf};

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData};
use prroute_common::address::{Address4, Address6, LocalAddress};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict};
use prroute_common::names;
use prroute_common::syn_cache::SLOTS;
use prroute_common::time::Ticks;
use prroute_common::udp_origin::{HostPeer, Peer, UdpOrigin};

/// The time in the word of a SYN, whose other bits are no time.
const SYN_TIME: u64 = (1 << 28) - 1;

/// Makes everything that the programs noted happen so much earlier. `pin` is where a map is pinned.
pub(crate) fn age(pin: impl Fn(&str) -> PathBuf, by: Ticks) {
    age_with(pin, by, 0..SLOTS);
}

/// Likewise, but of the SYN cache only these slots: the whole of it takes long.
pub(crate) fn age_with(
    pin: impl Fn(&str) -> PathBuf,
    by: Ticks,
    slots: impl IntoIterator<Item = u32>,
) {
    for name in [names::FLOWS4, names::DATAGRAMS4, names::NEW4] {
        each::<FlowKey4, Flow>(&pin(name), Map::LruHashMap, |flow| earlier_flow(flow, by));
    }
    for name in [names::FLOWS6, names::DATAGRAMS6, names::NEW6] {
        each::<FlowKey6, Flow>(&pin(name), Map::LruHashMap, |flow| earlier_flow(flow, by));
    }
    let exposed = |local: &mut LocalAddress| earlier(&mut local.exposed_at, by);
    each::<Address4, LocalAddress>(&pin(names::ADDRESSES4), Map::HashMap, exposed);
    each::<Address6, LocalAddress>(&pin(names::ADDRESSES6), Map::HashMap, exposed);
    each::<FragmentKey, FragmentVerdict>(&pin(names::FRAGMENTS), Map::LruHashMap, |way| {
        earlier(&mut way.decided_at, by);
    });
    asked::<Address4>(&pin, names::UDP_ORIGIN4, names::HOST_PEERS4, by);
    asked::<Address6>(&pin, names::UDP_ORIGIN6, names::HOST_PEERS6, by);
    let mut openings: Array<MapData, u64> = open(&pin(names::SYN_CACHE), Map::Array);
    for slot in slots {
        let word = openings.get(&slot, 0).unwrap();
        if word != 0 {
            let time = word.wrapping_sub(u64::from(by)) & SYN_TIME;
            openings.set(slot, word & !SYN_TIME | time, 0).unwrap();
        }
    }
    let mut uplinks: Array<MapData, Ticks> = open(&pin(names::EXPOSED), Map::Array);
    for id in 0..uplinks.len() {
        let mut exposed_at = uplinks.get(&id, 0).unwrap();
        if exposed_at != 0 {
            earlier(&mut exposed_at, by);
            uplinks.set(id, exposed_at, 0).unwrap();
        }
    }
}

fn asked<A: Copy>(pin: impl Fn(&str) -> PathBuf, asked: &str, hosts: &str, by: Ticks)
where
    Peer<A>: Pod,
    UdpOrigin<A>: Pod,
{
    each::<Peer<A>, UdpOrigin<A>>(&pin(asked), Map::LruHashMap, |asked| {
        earlier(&mut asked.last_request, by);
        earlier(&mut asked.last_reply, by);
        if let Some(mut then) = asked.due_since() {
            earlier(&mut then, by);
            asked.set_due(then);
        }
    });
    each::<Peer<A>, HostPeer>(&pin(hosts), Map::LruHashMap, |host| {
        earlier(&mut host.opened_at, by);
        earlier(&mut host.last_sent, by);
    });
}

fn open<T: TryFrom<Map, Error: std::fmt::Debug>>(pin: &Path, kind: fn(MapData) -> Map) -> T {
    kind(MapData::from_pin(pin).unwrap()).try_into().unwrap()
}

fn each<K: Pod, V: Pod>(pin: &Path, kind: fn(MapData) -> Map, change: impl Fn(&mut V)) {
    let mut table: HashMap<MapData, K, V> = open(pin, kind);
    let entries: Vec<(K, V)> = table.iter().map(Result::unwrap).collect();
    for (key, mut value) in entries {
        change(&mut value);
        table.insert(key, value, 0).unwrap();
    }
}

/// Both times, and when the host opened a datagram flow.
fn earlier_flow(flow: &mut Flow, by: Ticks) {
    let (last_in, last_out) = (flow.last_in(), flow.last_out());
    let [_, origin, mut local, remote]: [u64; 4] = bytemuck::cast(*flow);
    let mut halves = [last_in, last_out];
    halves.iter_mut().for_each(|half| earlier(half, by));
    let times = u64::from(halves[0]) | u64::from(halves[1]) << 32;
    if flow.heard().is_none() && flow.sent().is_none() {
        let mut opened_at = flow.opened_at();
        earlier(&mut opened_at, by);
        local = u64::from(opened_at);
    }
    *flow = bytemuck::cast([times, origin, local, remote]);
}

/// 0 stands for never.
fn earlier(stamp: &mut Ticks, by: Ticks) {
    if *stamp != 0 {
        *stamp = stamp.wrapping_sub(by).max(1);
    }
}
