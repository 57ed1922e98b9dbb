//! Thousands of prefixes or addresses on one uplink: the others are followed as ever, a daemon
//! starts, and what the datapath has no room for is named.

mod segment;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{socket, wait};
use serde_json::Value;

const PORT: u16 = 7007;

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(15);

/// Time for the daemon to read and write thousands of objects.
const PATIENCE: Duration = Duration::from_secs(60);

fn build() -> Result<(Lab, Echo)> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    lab.steer_both(2)?;
    Ok((lab, echo))
}

/// Conversations with the shared addresses over uplink 2.
fn datagrams(lab: &Lab) -> Result<Vec<(UdpSocket, SocketAddr)>> {
    let mut datagrams = Vec::new();
    for family in Family::BOTH {
        let udp = socket::udp(&lab.client, addressing::stateless_client(family), 0)?;
        udp.set_read_timeout(Some(Duration::from_millis(100)))?;
        let target = SocketAddr::new(addressing::shared(family), PORT);
        let arrived = || lab.router(2).arrived(target.ip(), addressing::stateless_client(family));
        wait::until("an answer over uplink 2", PATIENCE, || {
            let before = arrived()?;
            let answered = echo::udp_round(&udp, target, 100)?;
            Ok((answered && arrived()? == before + 1).then_some(()))
        })?;
        wait::until("an answer to what is known by now", PATIENCE, || {
            Ok(echo::udp_round(&udp, target, 100)?.then_some(()))
        })?;
        datagrams.push((udp, target));
    }
    Ok(datagrams)
}

/// Uplink 2 loses its carrier: its conversations go on over uplink 1 as soon as the datapath knows.
fn carrier_loss_is_followed(lab: &Lab) -> Result<()> {
    lab.steer_both(2)?;
    let datagrams = datagrams(lab)?;
    let router = &lab.router(2).namespace;
    router.ip("link set host down")?;
    let start = Instant::now();
    lab.steer_both(1)?;
    for (udp, target) in &datagrams {
        wait::until("an answer over uplink 1", SOON, || {
            Ok(echo::udp_round(udp, *target, 100)?.then_some(()))
        })
        .with_context(|| target.to_string())?;
    }
    println!("followed within {:.0?}", start.elapsed());
    router.ip("link set host up")?;
    Ok(())
}

/// Waits until the status says that so many prefixes and addresses of a party are left out.
fn left_out(prroute: &Instance<'_>, name: &str, prefixes: u64, addresses: u64) -> Result<()> {
    let mut last = Value::Null;
    wait::until("the status names what is left out", PATIENCE, || {
        last = prroute.status()?["left_out"].clone();
        let mut parties = last.as_array().context("no list")?.iter();
        let is_right = |party: &&Value| {
            party["name"] == name
                && party["prefixes"] == prefixes
                && party["addresses"] == addresses
        };
        Ok(parties.find(is_right).map(drop))
    })
    .with_context(|| format!("{last:#}"))?;
    let text = prroute.status_text(&[])?;
    ensure!(text.contains(&format!("{name}: left out of the datapath")), "{text}");
    Ok(())
}

/// Somebody goes on announcing, and what is there expires, while `check` runs.
fn while_prefixes_come_and_go(lab: &Lab, check: impl FnOnce() -> Result<()>) -> Result<()> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                segment::advertise(lab, 1)?;
                segment::expire(lab, 1)?;
            }
            Ok(())
        });
        let checked = check();
        over.store(true, Ordering::Relaxed);
        let churned = churn.join().map_err(|_| anyhow::anyhow!("the announcer panicked"))?;
        checked.and(churned)
    })
}

/// 6,000 of 4,096, beside two prefixes of the labs two other uplinks and its own, per family.
#[test]
fn thousands_of_prefixes_on_one_uplink_delay_nothing_of_another() -> Result<()> {
    let _turn = crate::turn();
    let (lab, echo) = build()?;
    segment::listen(&lab)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    segment::route4(&lab)?;
    segment::advertise(&lab, 0)?;
    wait::until("the host has taken the prefixes", PATIENCE, || {
        Ok((segment::taken(&lab, 0)? == 6_000).then_some(()))
    })?;
    let excess = 6_000 + 3 - 4_096;
    left_out(&prroute, "up3", 2 * excess, 0)?;
    carrier_loss_is_followed(&lab)?;

    while_prefixes_come_and_go(&lab, || carrier_loss_is_followed(&lab))
        .context("while prefixes come and go")?;
    let log = daemon.terminate()?;
    ensure!(log.matches("up3: left out of the datapath").count() == 1, "not said once:\n{log}");

    let start = Instant::now();
    let daemon = prroute.run(&[])?;
    println!("started within {:.0?}", start.elapsed());
    carrier_loss_is_followed(&lab).context("after a new start")?;

    segment::clear(&lab)?;
    wait::until("nothing is left out", PATIENCE, || {
        Ok(prroute.status()?["left_out"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    let log = daemon.terminate()?;
    ensure!(log.contains("up3: there is room for all"), "{log}");
    prroute.down()?;
    drop(echo);
    Ok(())
}

#[test]
fn thousands_of_addresses_delay_nothing_of_another_uplink() -> Result<()> {
    let _turn = crate::turn();
    let (lab, _echo) = build()?;
    segment::address(&lab)?;
    let start = Instant::now();
    lab.with_prroute(|prroute| {
        println!("started within {:.0?}", start.elapsed());
        // Beside the addresses of three uplinks and a shared one.
        let excess = u64::from(segment::ADDRESSES) + 4 - 8_192;
        left_out(prroute, "up3", 0, excess)?;
        left_out(prroute, "shared addresses", 0, excess)?;
        carrier_loss_is_followed(&lab)?;
        Ok(())
    })
}

/// Thousands of routes are made in many rounds: between two of them the daemon hears who ends it.
#[test]
fn a_start_with_thousands_of_routes_ends_when_it_is_asked_to() -> Result<()> {
    let _turn = crate::turn();
    let lab = Lab::build(Topology::DEFAULT)?;
    segment::route4(&lab)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?.configured("on-stop = \"undo\"\n")?;
    let mut daemon = prroute.start(&[])?;
    wait::until("it makes routes", PATIENCE, || {
        daemon.process.check_running()?;
        Ok(daemon.said()?.contains("STATUS=making rules and routes").then_some(()))
    })?;
    let log = daemon.terminate()?;
    ensure!(log.contains("SIGTERM: undoing everything"), "{log}");
    ensure!(!log.contains("ready, "), "it finished its start first:\n{log}");
    lab.expect_unchanged_since(&before)
}
