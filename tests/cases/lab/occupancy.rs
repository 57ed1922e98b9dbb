//! How full the flow tables are, and what had to make room, is there to be seen, also while they
//! are flooded.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::{self, Way, Wire};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{socket, wait};
use serde_json::Value;

const PORT: u16 = 7007;
const FLOODED: u16 = 7008;
/// Entries of each table: the fewest that two processors allow.
const FLOWS: u64 = 4096;

fn table<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let tables = status["flow_tables"]["tables"].as_array().context("no tables")?;
    tables.iter().find(|table| table["name"] == name).with_context(|| format!("no {name}"))
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value[key].as_u64().with_context(|| format!("no number {key} in {value}"))
}

/// Each portion is on record before the next is sent: more at once may not fit in a device's queue. What
/// was lost there beside other traffic is sent again.
fn recorded_flood(wire: &Wire, datagrams: u32, prroute: &Instance<'_>) -> Result<u32> {
    const PORTION: u32 = 512;
    let before = prroute.count("opened_inbound")?;
    for first in (0..datagrams).step_by(PORTION as usize) {
        let end = datagrams.min(first + PORTION);
        wait::until("all are recorded", Duration::from_secs(10), || {
            flood(wire, first..end, &AtomicBool::new(false))?;
            let recorded = prroute.count("opened_inbound")? - before;
            Ok((recorded >= u64::from(end)).then_some(()))
        })?;
    }
    Ok(datagrams)
}

/// Datagrams from ports and addresses of which no two are the same.
fn flood(wire: &Wire, datagrams: Range<u32>, is_over: &AtomicBool) -> Result<u32> {
    let target = addressing::shared(Family::V4);
    let (source_mac, target_mac) =
        (frame::mac("02:00:00:00:02:66")?, frame::mac(&addressing::host_mac(2))?);
    let (first, count) = (datagrams.start, datagrams.end - datagrams.start);
    for sent in datagrams {
        if is_over.load(Ordering::Relaxed) {
            return Ok(sent - first);
        }
        let source = std::net::Ipv4Addr::from_bits(0xc612_0000 + sent).into();
        let way = Way { source_mac, target_mac, source, target };
        wire.send(&way.udp((9, FLOODED), &[])?)?;
    }
    Ok(count)
}

const FULL: &str = "WARN the flow table datagrams4 is full";

/// Twice from each source: a datagram that comes in after an answer confirms its flow.
#[test]
fn a_table_without_room_is_one_warning() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let echo = Echo::start(&lab.host, &[addressing::shared(Family::V4)], FLOODED)?;
    let prroute = lab.prroute()?.configured(&format!("flows = {FLOWS}\n"))?;
    let log = prroute.while_running(|prroute| {
        let attacker = lab.stranger(2, "attacker")?;
        let wire = Wire::open(&attacker, "eth0")?;
        let capacity = number(table(&prroute.status()?, "DATAGRAMS4")?, "capacity")? as u32;
        wait::until("the log says that it is full", Duration::from_secs(180), || {
            for first in (0..capacity).step_by(256) {
                for _ in 0..2 {
                    flood(&wire, first..first + 256, &AtomicBool::new(false))?;
                }
            }
            Ok(prroute.log().contains(FULL).then_some(()))
        })
    })?;
    ensure!(log.matches(FULL).count() == 1, "{log}");
    drop(echo);
    Ok(())
}

/// What the host sends twice counts as much as a confirmed flow, and nobody has to answer it.
#[test]
fn a_table_that_the_hosts_own_datagrams_fill_is_one_warning_too() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.configured(&format!("flows = {FLOWS}\n"))?;
    let log = prroute.while_running(|prroute| {
        let peer = addressing::client(1, Family::V4);
        let own = socket::udp(&lab.host, addressing::host(1, Family::V4), 0)?;
        let capacity = number(table(&prroute.status()?, "DATAGRAMS4")?, "capacity")? as u16;
        wait::until("the log says that it is full", Duration::from_secs(180), || {
            for port in 20_000..20_000 + capacity {
                for _ in 0..2 {
                    // That nobody hears it is told to the next one that is sent.
                    drop(own.send_to(&[0; 8], SocketAddr::new(peer, port)));
                }
            }
            Ok(prroute.log().contains(FULL).then_some(()))
        })
    })?;
    ensure!(log.matches(FULL).count() == 1, "{log}");
    Ok(())
}

fn status_as_text(prroute: &Instance<'_>) -> Result<String> {
    prroute.status_text(&["-s"])
}

#[test]
fn occupancy_and_evictions_are_visible_under_a_flood() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    // The errors about the flooded port are of no interest.
    let _sink = socket::udp(&lab.host, addressing::shared(Family::V4), FLOODED)?;
    let echo = Echo::start(&lab.host, &[addressing::shared(Family::V4)], PORT)?;
    lab.with_configuration(&format!("flows = {FLOWS}\n"), |prroute| {
        let source = addressing::client(2, Family::V4);
        let target = SocketAddr::new(addressing::shared(Family::V4), PORT);
        let client = socket::udp(&lab.client, source, 0)?;
        for _ in 0..3 {
            ensure!(echo::udp_round(&client, target, 64)?, "no echo");
        }
        let status = prroute.status()?;
        let confirmed = table(&status, "DATAGRAMS4")?;
        let capacity = number(confirmed, "capacity")?;
        ensure!(capacity >= FLOWS, "{confirmed}");
        ensure!(
            number(confirmed, "entries")? == 1 && number(confirmed, "live")? == 1,
            "{status:#}"
        );
        ensure!(status["flow_tables"]["evicted_confirmed_at_most"] == 0, "{status:#}");
        ensure!(status["flow_tables"]["evicted_unconfirmed_at_most"] == 0, "{status:#}");
        ensure!(!status_as_text(prroute)?.contains("made room"), "before the flood");

        let attacker = lab.stranger(2, "attacker")?;
        let wire = Wire::open(&attacker, "eth0")?;
        let sent = recorded_flood(&wire, 4 * capacity as u32, prroute)?;
        let status = prroute.status()?;
        let new = table(&status, "NEW4")?;
        let (entries, room) = (number(new, "entries")?, number(new, "capacity")?);
        ensure!(entries <= room && entries > room / 2, "{status:#}");
        let evicted = number(&status["flow_tables"], "evicted_unconfirmed_at_most")?;
        let opened = prroute.count("opened_inbound")?;
        ensure!(opened >= u64::from(sent), "{opened} of {sent} were recorded");
        ensure!(evicted >= opened - room && evicted <= opened, "{evicted} of {opened}");
        ensure!(status["flow_tables"]["evicted_confirmed_at_most"] == 0, "{status:#}");
        ensure!(number(table(&status, "DATAGRAMS4")?, "entries")? == 1, "{status:#}");
        ensure!(
            status_as_text(prroute)?.contains("unconfirmed entries made room"),
            "after the flood"
        );

        // Both come to an end while the tables change under them.
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| -> Result<()> {
            let flooding = scope.spawn(|| flood(&wire, 0..u32::MAX / 2, &is_over));
            let asked = (|| -> Result<()> {
                for _ in 0..3 {
                    status_as_text(prroute)?;
                    let flows = prroute.flows(|flow| flow["confirmed"] == true)?;
                    ensure!(flows.len() == 1, "{flows:#?}");
                }
                Ok(())
            })();
            is_over.store(true, Ordering::Relaxed);
            flooding.join().expect("the flood panicked")?;
            asked
        })?;
        ensure!(echo::udp_round(&client, target, 64)?, "the confirmed flow is answered");
        Ok(())
    })?;
    drop(echo);
    Ok(())
}
