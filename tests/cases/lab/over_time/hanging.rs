//! A daemon that hangs (SIGSTOP) while packets come and go and the network changes.
//!
//! `PRROUTE_HANGS_FOR` says for how many seconds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, wait};

use super::number_of;
use crate::conversations::{Conversations, Flood, expect_nothing_lost};

const PATIENCE: Duration = Duration::from_secs(60);

/// An address in a new subnet, a route, and another device in the place of the third uplink.
fn change_the_network(lab: &Lab) -> Result<()> {
    let (mac, router) = (addressing::host_mac(3), &lab.router(3).namespace);
    lab.host.ip("address add 192.0.2.7/28 dev up2")?;
    lab.host.ip("route add 192.0.2.128/25 via 10.0.1.1")?;
    lab.host.ip("link del up3")?;
    let peer = format!("type veth peer name host netns {}", router.name());
    lab.host.ip(&format!("link add up3 address {mac} {peer}"))?;
    router.ip("link set host master lan up")?;
    lab.host.ip("link set up3 up")?;
    for family in Family::BOTH {
        let (host, gateway) = (addressing::host(3, family), addressing::gateway(3, family));
        let length = addressing::prefix_length(family);
        lab.host.ip(&format!("address add {host}/{length} dev up3"))?;
        let option = family.option();
        lab.host.ip(&format!("{option} route replace default via {gateway} dev up3 metric 300"))?;
    }
    Ok(())
}

#[test]
fn while_the_daemon_hangs_nothing_is_lost_and_afterwards_it_follows_what_changed() -> Result<()> {
    let span = Duration::from_secs(number_of("PRROUTE_HANGS_FOR", 15)?);
    let topology = Topology { rp_filter: 1, ..Topology::DEFAULT };
    let lab = Lab::with_services(topology)?;
    lab.with_prroute(|prroute| {
        lab.expect_answered_within(PATIENCE, &probe::to_everything(3))?;
        let mut conversations = Conversations::open(&lab)?;
        let mut floods = Flood::all(&lab)?;
        prroute.daemon.process.signal(Signal::SIGSTOP)?;
        let since = Instant::now();
        change_the_network(&lab)?;
        while since.elapsed() < span {
            conversations.host_speaks_first()?;
            conversations.go_on()?;
            for flood in &mut floods {
                flood.is_answered()?;
            }
        }
        ensure!(!lab.host.ip("rule show")?.contains("192.0.2.0/28"), "the daemon did not hang");
        prroute.daemon.process.signal(Signal::SIGCONT)?;
        lab.expect_answered_within(PATIENCE, &probe::to_everything(3))?;
        wait::until("the new address has its rules", PATIENCE, || {
            let rules = lab.host.ip("rule show")?;
            Ok(rules.contains("from 192.0.2.0/28 iif lo lookup 21002 ").then_some(()))
        })?;
        wait::until("nothing is left to change", PATIENCE, || {
            Ok(prroute.output(&["plan"])?.stdout.contains("# nothing to change").then_some(()))
        })
        .with_context(|| prroute.output(&["plan"]).map_or_else(|e| e.to_string(), |o| o.stdout))?;
        let health = prroute.status()?["health"].clone();
        ensure!(health == "ok", "{health}:\n{}", prroute.status_text(&[])?);
        conversations.go_on()?;
        expect_nothing_lost(&lab, &conversations, floods)
    })
}
