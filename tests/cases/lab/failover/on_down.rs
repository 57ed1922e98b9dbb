//! What the host says while the uplink is down leaves elsewhere, or waits.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::own_source::in_both_modes;
use prroute_tests::{socket, wait};

use super::failure::Failure;
use super::traffic::{PATIENCE, PORT, impatient_lab};

/// The host speaks into a connection of uplink 2 while that is down.
fn speaks_into_failed_uplink(failure: Failure, hold: bool) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = impatient_lab()?;
        lab.steer_both(2)?;
        let on_down = if hold { "hold" } else { "route" };
        lab.prroute()?
            .own_source(own_source)?
            .configured(&format!("[[uplink]]\nname = \"up2\"\non-down = \"{on_down}\"\n"))?
            .while_running(|prroute| {
                let mut pairs = Vec::new();
                for family in Family::BOTH {
                    let (source, target) =
                        (addressing::stateless_client(family), addressing::shared(family));
                    let listener = socket::listen(&lab.host, target, PORT)?;
                    let client = socket::tcp(&lab.client, source, target, PORT)?;
                    client.set_read_timeout(Some(wait::patience(PATIENCE)))?;
                    let (server, _) = listener.accept()?;
                    server.set_read_timeout(Some(wait::patience(PATIENCE)))?;
                    let mut pair = [client, server];
                    exchange(&mut pair)?;
                    pairs.push(pair);
                }
                let known_down = match failure {
                    Failure::GatewaySilent => "no_next_hop",
                    Failure::Deleted => "uplink_gone",
                    _ => "uplink_down",
                };
                failure.begin(&lab)?;
                let filter = format!(
                    "tcp port {PORT} and (src host {} or src host {})",
                    addressing::shared(Family::V4),
                    addressing::shared(Family::V6)
                );
                failure.wait_known(prroute)?;
                let before = [prroute.count("held")?, prroute.count(known_down)?];
                let elsewhere = Capture::start(&lab.host, "up1", "out", &filter)?;
                for pair in &mut pairs {
                    pair[1].write_all(b"news").context("the host speaks")?;
                }
                if hold {
                    wait::until("the packets are held", PATIENCE, || {
                        Ok((prroute.count("held")? >= before[0] + 2).then_some(()))
                    })?;
                    assert_eq!(
                        elsewhere.stop()?,
                        Vec::<String>::new(),
                        "held packets left by uplink 1"
                    );
                } else {
                    ensure!(elsewhere.wait_for(2, PATIENCE)?, "nothing left by uplink 1");
                    elsewhere.stop()?;
                    assert!(failure == Failure::Deleted || prroute.count(known_down)? > before[1]);
                    assert_eq!(prroute.count("held")?, before[0]);
                }
                // Nothing is killed: the news arrives when the uplink is back, at the latest.
                failure.end(&lab)?;
                for pair in &mut pairs {
                    let mut news = [0; 4];
                    std::io::Read::read_exact(&mut pair[0], &mut news)
                        .context("the client hears")?;
                    assert_eq!(&news, b"news");
                    exchange(pair)?;
                }
                Ok(())
            })
            .map(drop)
    })
}

/// Both ends speak and hear.
fn exchange(pair: &mut [TcpStream; 2]) -> Result<()> {
    for (from, to) in [(0, 1), (1, 0)] {
        pair[from].write_all(b"word").context("speak")?;
        let mut word = [0; 4];
        std::io::Read::read_exact(&mut pair[to], &mut word).context("hear")?;
    }
    Ok(())
}

#[test]
fn route_admin_down() -> Result<()> {
    speaks_into_failed_uplink(Failure::AdminDown, false)
}

#[test]
fn route_carrier_lost() -> Result<()> {
    speaks_into_failed_uplink(Failure::CarrierLost, false)
}

#[test]
fn route_gateway_silent() -> Result<()> {
    speaks_into_failed_uplink(Failure::GatewaySilent, false)
}

#[test]
fn route_device_deleted() -> Result<()> {
    speaks_into_failed_uplink(Failure::Deleted, false)
}

#[test]
fn hold_admin_down() -> Result<()> {
    speaks_into_failed_uplink(Failure::AdminDown, true)
}

#[test]
fn hold_carrier_lost() -> Result<()> {
    speaks_into_failed_uplink(Failure::CarrierLost, true)
}

#[test]
fn hold_gateway_silent() -> Result<()> {
    speaks_into_failed_uplink(Failure::GatewaySilent, true)
}

/// Nothing is held for a device that does not exist, down or up when it went, whether a daemon sees
/// it go or not.
fn hold_ends_with_the_device(daemon_lives: bool) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = impatient_lab()?;
        lab.steer_both(2)?;
        let mut prroute = lab.prroute()?.own_source(own_source)?;
        prroute.configure("[[uplink]]\nname = \"up2\"\non-down = \"hold\"\n")?;
        let daemon = prroute.run(&[])?;
        let (source, target) =
            (addressing::stateless_client(Family::V4), addressing::shared(Family::V4));
        let listener = socket::listen(&lab.host, target, PORT)?;
        let client = socket::tcp(&lab.client, source, target, PORT)?;
        let (mut server, _) = listener.accept()?;
        Failure::AdminDown.begin(&lab)?;
        Failure::AdminDown.wait_known(&prroute)?;
        server.write_all(b"news").context("the host speaks")?;
        wait::until("the packets are held", PATIENCE, || {
            Ok((prroute.count("held")? > 0).then_some(()))
        })?;
        let filter = format!("tcp port {PORT} and src host {target}");
        let elsewhere = Capture::start(&lab.host, "up1", "out", &filter)?;
        let daemon = if daemon_lives {
            Some(daemon)
        } else {
            daemon.kill()?;
            None
        };
        Failure::Deleted.begin(&lab)?;
        // The host repeats itself.
        ensure!(elsewhere.wait_for(1, PATIENCE)?, "still held, {} times", prroute.count("held")?);
        elsewhere.stop()?;
        if daemon_lives {
            let held = |family: Family| -> Result<bool> {
                let routes = lab.host.ip(&format!("{} route show table all", family.option()))?;
                Ok(routes.lines().any(|route| route.starts_with("unreachable default table 21002")))
            };
            wait::until("its routes are gone", PATIENCE, || {
                Ok((!held(Family::V4)? && !held(Family::V6)?).then_some(()))
            })?;
        }
        drop((client, daemon));
        prroute.down()?;
        Ok(())
    })
}

#[test]
fn hold_ends_with_the_device_that_was_down() -> Result<()> {
    hold_ends_with_the_device(true)
}

#[test]
fn hold_ends_with_the_device_without_a_daemon() -> Result<()> {
    hold_ends_with_the_device(false)
}
