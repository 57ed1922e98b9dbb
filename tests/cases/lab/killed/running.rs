//! A daemon that is killed while it follows the network or another configuration: everything is
//! answered meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use prroute_tests::addressing::Family;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe;

use super::{Moment, Scene, TOPOLOGY, before, expect_killed};

/// From links to filters, to other priorities and tables, and without help for UDP servers.
const CONFIGURATION: &str = "attach = \"clsact\"\nudp-source = false\nrule-priority = 5000\n\
                             table = 5000\n[[uplink]]\nname = \"up2\"\nto = [\"192.0.2.1\"]\n";

const RELOAD: [Moment; 12] = [
    before("write to a map", 5),
    before("load program prroute_egress", 1),
    before("detach a program", 3),
    before("rename journal.json", 1),
    before("add route", 7),
    before("add rule", 1),
    before("add rule", 9),
    before("delete rule", 9),
    before("delete route", 7),
    before("add filter", 2),
    before("remove link-1-ingress", 1),
    before("rename report.json", 2),
];

/// When a third uplink gets its addresses.
const ARRIVAL: [Moment; 7] = [
    before("rename journal.json", 1),
    before("open rp_filter", 1),
    before("add neighbour", 1),
    before("add route", 2),
    before("add rule", 3),
    before("attach a program", 1),
    before("rename link-3-ingress", 1),
];

/// Follows `change` until the moment comes.
fn killed_by(
    scene: &mut Scene<'_>,
    moment: Moment,
    change: impl FnOnce(&mut Scene<'_>, nix::unistd::Pid) -> Result<()>,
) -> Result<()> {
    let armed = Arc::new(AtomicBool::new(false));
    let (mut daemon, attended) = scene.prroute.start_attended(moment.kill(&armed))?;
    daemon.wait_ready()?;
    armed.store(true, Ordering::Relaxed);
    change(scene, daemon.process.pid())?;
    expect_killed(daemon, attended)
}

#[test]
fn a_reload_that_is_killed_is_ended_by_the_next_start() -> Result<()> {
    let lab = Lab::with_services(TOPOLOGY)?;
    let mut scene = Scene::new(&lab, OwnSource::Rules, CONFIGURATION)?;
    for moment in RELOAD {
        scene.prroute.configure("")?;
        let killed = killed_by(&mut scene, moment, |scene, pid| {
            scene.prroute.configure(CONFIGURATION)?;
            nix::sys::signal::kill(pid, Signal::SIGHUP).context("reload")
        });
        let killed = killed.and_then(|()| scene.expect_all_answered());
        killed.and_then(|()| scene.expect_repaired()).with_context(|| format!("{moment:?}"))?;
    }
    Ok(())
}

#[test]
fn an_uplink_that_comes_as_the_daemon_is_killed_is_managed_after_the_next_start() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 3, ..TOPOLOGY })?;
    let mut scene = Scene::new(&lab, OwnSource::Rules, "")?;
    for moment in ARRIVAL {
        for family in Family::BOTH {
            lab.unconfigure(3, family)?;
        }
        let killed = killed_by(&mut scene, moment, |_, _| lab.configure(3));
        let two = || probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?);
        let killed = killed.and_then(|()| two());
        killed.and_then(|()| scene.expect_repaired()).with_context(|| format!("{moment:?}"))?;
    }
    Ok(())
}
