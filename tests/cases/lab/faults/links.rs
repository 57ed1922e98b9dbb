//! Links, gateways and default routes of others.

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;

use super::{Said, expect_clean, expect_named, expect_named_and_mended, run_fix};

const STATUS: &[&str] = &["status"];

/// The first line says so, whatever comes after it.
fn expect_health(prroute: &Instance<'_>, health: &str) -> Result<()> {
    let said = Said::by(prroute, STATUS)?;
    let first = said.text.stdout.lines().next().unwrap_or_default();
    ensure!(first.contains(&format!("{}: {health}", prroute.name())), "{said:#?}");
    Ok(())
}

#[test]
fn a_pulled_cable_is_named_until_it_is_plugged_in() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_configuration("", |prroute| {
        expect_clean(prroute, STATUS)?;
        expect_health(prroute, "ok, 3 of 3 uplinks answer")?;
        lab.router(2).namespace.ip("link set host down")?;
        expect_named(prroute, STATUS, "carrier:up2", 1)?;
        expect_health(prroute, "DEGRADED, 2 of 3 uplinks answer")?;
        lab.router(2).namespace.ip("link set host up")?;
        expect_clean(prroute, STATUS)
    })
}

#[test]
fn a_silent_gateway_is_named_until_it_answers() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_configuration("gateway-probe = 1\n", |prroute| {
        expect_clean(prroute, STATUS)?;
        let router = lab.router(2);
        router.fall_silent()?;
        expect_named(prroute, STATUS, "gateway-silent:up2:10.0.2.1", 1)?;
        expect_health(prroute, "DEGRADED, 2 of 3 uplinks answer")?;
        router.answer_again()?;
        expect_clean(prroute, STATUS)
    })
}

/// A route that others made is theirs: without it the uplink's replies reach nobody far away.
#[test]
fn a_deleted_default_route_is_named_and_put_back_by_the_command() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_configuration("", |prroute| {
        expect_clean(prroute, STATUS)?;
        lab.host.ip("route del default via 10.0.2.1 dev up2")?;
        let id = ("gateway-gone:up2:10.0.2.1", 0);
        expect_named_and_mended(&lab.host, prroute, STATUS, id)
    })
}

#[test]
fn a_link_that_is_set_down_is_named_and_what_it_lost_too() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_configuration("", |prroute| {
        expect_clean(prroute, STATUS)?;
        lab.host.ip("link set up2 down")?;
        let down = expect_named(prroute, STATUS, "carrier:up2", 1)?;
        run_fix(&lab.host, prroute, &down)?;
        // The kernel forgot its routes.
        let id = ("gateway-gone:up2:10.0.2.1", 0);
        expect_named_and_mended(&lab.host, prroute, STATUS, id)
    })
}

#[test]
fn a_daemon_that_was_killed_is_named_and_what_nobody_followed_too() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    expect_clean(&prroute, STATUS)?;
    daemon.kill()?;
    lab.router(2).namespace.ip("link set host down")?;
    expect_named(&prroute, STATUS, "daemon-gone", 3)?;
    expect_named(&prroute, STATUS, "carrier:up2", 3)?;
    expect_health(&prroute, "UNWATCHED for ")?;
    lab.router(2).namespace.ip("link set host up")?;
    let daemon = prroute.run(&[])?;
    expect_clean(&prroute, STATUS)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}
