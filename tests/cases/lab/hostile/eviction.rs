//! The attacker has the tables forget, or floods them.

use std::net::IpAddr;
use std::path::Path;

use ::prroute::datapath::Pins;
use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::frame::Flags;
use prroute_tests::lab::Lab;
use prroute_tests::prroute::Instance;
use prroute_tests::{command, prroute};

use super::attacker::Attacker;
use super::victim::{Abortable, Victim};
use super::{FLOWS, expect_no_leak, lab, leak, small_tables, victims};

const FLOODED: u16 = 7008;

/// Has the tables forget every TCP flow, as they do when more connections are open than they hold.
/// Nobody who proves nothing can have them do it.
fn evict(lab: &Lab, prroute: &Instance<'_>) -> Result<()> {
    let instance = lab.name().parse().map_err(anyhow::Error::msg)?;
    let pins = Pins::of(&instance);
    remove_all::<FlowKey4>(&pins.map(names::FLOWS4))?;
    remove_all::<FlowKey6>(&pins.map(names::FLOWS6))?;
    let known = prroute.flows(|flow| flow["protocol_number"] == 6 && flow["confirmed"] == true)?;
    ensure!(known.is_empty(), "not evicted: {known:#?}");
    Ok(())
}

fn remove_all<K: aya::Pod>(pin: &Path) -> Result<()> {
    let map = Map::LruHashMap(MapData::from_pin(pin)?);
    let mut table: HashMap<MapData, K, Flow> = map.try_into()?;
    let keys: Vec<K> = table.keys().collect::<std::result::Result<_, _>>()?;
    for key in keys {
        table.remove(&key)?;
    }
    Ok(())
}

/// The attacker first makes prroute forget the flows.
fn evicted_flows_leak_nothing(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    let prroute = small_tables(&lab)?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = victims(&lab)?;
    for victim in &mut victims {
        victim.udp = None;
    }
    let aborted = Family::BOTH
        .into_iter()
        .map(|family| Abortable::connect(&lab, family))
        .collect::<Result<Vec<_>>>()?;
    evict(&lab, &prroute)?;
    let capture = leak(&lab)?;
    for salt in 1..=20 {
        for victim in &victims {
            attacker.attack(victim, salt)?;
        }
        for aborted in &aborted {
            attacker.attack(&aborted.as_victim()?, salt)?;
        }
    }
    for aborted in aborted {
        aborted.abort()?;
    }
    for victim in &mut victims {
        victim.tcp_is_alive()?;
    }
    expect_no_leak(capture)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn evicted_flows_leak_nothing_to_who_evicted_them() -> Result<()> {
    evicted_flows_leak_nothing(1)
}

#[test]
fn evicted_flows_leak_nothing_with_syn_cookies() -> Result<()> {
    evicted_flows_leak_nothing(2)
}

/// Datagrams and echo requests that are answered, several times as many as both tables hold: they are
/// packets in, out, and in again, which anybody can have.
#[test]
fn what_proves_nothing_evicts_no_connection() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    let prroute = small_tables(&lab)?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = victims(&lab)?;
    let connections =
        || prroute.flows(|flow| flow["protocol_number"] == 6 && flow["confirmed"] == true);
    let before = connections()?.len();
    assert!(before >= victims.len(), "{before} connections are known");
    let capture = leak(&lab)?;
    lab.settle(&attacker.namespace, 2)?;
    for family in Family::BOTH {
        attacker.fill_the_table(family, 0)?;
        attacker.ping_the_table_full(family)?;
    }
    let pinged = prroute.flows(|flow| {
        matches!(flow["protocol_number"].as_u64(), Some(1 | 58)) && flow["confirmed"] == true
    })?;
    assert!(pinged.len() > usize::from(FLOWS) / 2, "{} pings count as confirmed", pinged.len());
    assert_eq!(connections()?.len(), before, "connections that are known still");
    for victim in &mut victims {
        victim.tcp_is_alive()?;
    }
    expect_no_leak(capture)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Memory of all pinned maps, in bytes.
fn memory(lab: &Lab) -> Result<u64> {
    let mut bytes = 0;
    let directory = prroute::pins(lab.name());
    let mut pending = vec![directory];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let show = ["bpftool", "-j", "map", "show", "pinned", &path.display().to_string()];
            let output = command::output(&mut command::command(&show)?)?;
            // Programs and links are pinned there too.
            if let Ok(map) = serde_json::from_str::<serde_json::Value>(&output.stdout) {
                bytes += map["bytes_memlock"].as_u64().unwrap_or_default();
            }
        }
    }
    ensure!(bytes > 0, "no maps");
    Ok(bytes)
}

/// Ten times as many SYNs as both tables hold, in other people's names.
#[test]
fn a_flood_of_syns_harms_no_confirmed_flow() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    let prroute = small_tables(&lab)?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let mut victims = Vec::new();
    for family in Family::BOTH {
        for uplink in 1..=3 {
            for _ in 0..5 {
                victims.push(Victim::inbound(&lab, uplink, family)?);
            }
        }
    }
    // A socket of its own: the victims' would overflow.
    let shared = Family::BOTH.map(addressing::shared);
    let _flooded = Echo::start(&lab.host, &shared, FLOODED)?;
    let before = memory(&lab)?;
    let capture = leak(&lab)?;
    let syn = Flags { syn: true, ..Flags::default() };
    for family in Family::BOTH {
        let target = addressing::shared(family);
        let openings = 10 * 2 * u32::from(FLOWS);
        let turn = openings / u32::try_from(victims.len())?;
        for i in 0..openings {
            let [_, _, high, low] = i.to_be_bytes();
            let source: IpAddr = match family {
                Family::V4 => [198, 18, 0, low].into(),
                Family::V6 => {
                    format!("2001:db8:bad::{low:x}").parse().context("a spoofed source")?
                }
            };
            let way = Attacker::way(source, target)?;
            let port = 1_024 + u16::from(high) * 100 + (i >> 16) as u16;
            attacker.wire.send(&way.tcp((port, FLOODED), syn, (i, 0), &[])?)?;
            attacker.wire.send(&way.udp((port, FLOODED), b"x")?)?;
            if i % turn == turn - 1 {
                let next = (i / turn) as usize % victims.len();
                victims[next].is_alive().with_context(|| format!("after {i} SYNs"))?;
            }
        }
    }
    for victim in &mut victims {
        victim.is_alive()?;
    }
    expect_no_leak(capture)?;
    for uplink in 1..=3 {
        for family in Family::BOTH {
            let client = addressing::client(uplink, family);
            for router in lab.routers.iter().filter(|router| router.number != uplink) {
                let arrived = router.arrived(addressing::shared(family), client)?;
                assert_eq!(arrived, 0, "for {client} by uplink {}", router.number);
            }
        }
    }
    assert!(prroute.count("opened_inbound")? >= 20 * u64::from(FLOWS), "most were recorded");
    assert_eq!(memory(&lab)?, before, "bytes of maps");
    assert_eq!(prroute.count("held")?, 0);
    assert_eq!(prroute.count("table_full")?, 0);
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
