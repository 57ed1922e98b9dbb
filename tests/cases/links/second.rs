//! A lab whose second uplink is another device than the veth that leads to its router.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;

/// The veth towards the second router, and its other end, which is a port of the router's bridge.
pub(crate) const BELOW: &str = "up2";
pub(crate) const FAR_BELOW: &str = "host";

const TOPOLOGY: Topology = Topology { uplinks: 2, routers_know_host: false, ..Topology::DEFAULT };

/// Whether the device is an uplink by itself, or because the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    ByItself,
    ByName,
}

/// Builds the lab, lets `make` build `device` upon [`BELOW`] and, at the router, upon
/// [`FAR_BELOW`], and moves the second uplink's addresses and routes there.
pub(crate) fn lab(device: &str, make: impl FnOnce(&Lab) -> Result<()>) -> Result<Lab> {
    let mut lab = Lab::build(TOPOLOGY)?;
    for family in Family::BOTH {
        lab.host.ip(&format!("{} route del default dev {BELOW}", family.option()))?;
    }
    lab.host.ip(&format!("address flush dev {BELOW} scope global"))?;
    make(&lab).with_context(|| format!("make {device}"))?;
    settle(&lab, device)?;
    lab.start_services()?;
    Ok(lab)
}

/// The second uplink's addresses and default routes.
fn settle(lab: &Lab, device: &str) -> Result<()> {
    let mut batch = format!("link set {device} up\n");
    for family in Family::BOTH {
        let (address, length) = (addressing::host(2, family), addressing::prefix_length(family));
        let at_once = if family == Family::V6 { "nodad" } else { "" };
        batch += &format!("address add {address}/{length} dev {device} {at_once}\n");
    }
    for family in Family::BOTH {
        let gateway = addressing::gateway(2, family);
        batch += &format!("route add default via {gateway} dev {device} metric 200\n");
    }
    lab.host.ip_batch(&batch)
}

/// Everything is answered over both uplinks with prroute and over the first one without; the
/// programs are on both uplinks and on nothing else, and see each packet once; and all of it can
/// be undone.
pub(crate) fn conforms(lab: &Lab, device: &str, found: Found) -> Result<()> {
    let probes = probe::to_everything(2);
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&probes)?, |probe| probe.uplink() == 1)
        .context("without prroute")?;
    let before = lab.snapshot()?;

    let mut prroute = lab.prroute()?;
    if found == Found::ByName {
        prroute.configure(&format!("[[uplink]]\nname = \"{device}\"\n"))?;
    }
    lab.forget_neighbours()?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&probes)?)
        .with_context(|| format!("with prroute: {:#}", prroute.status().unwrap_or_default()))?;
    expect_attached(&lab.host, &["up1", device])?;
    expect_seen_once(lab, &prroute)?;
    daemon.terminate()?;
    prroute.down()?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty(), "not as before:\n{changes}");
    Ok(())
}

/// Programs are on these devices, both ways, and on no others.
pub(crate) fn expect_attached(host: &Namespace, uplinks: &[&str]) -> Result<()> {
    let links = host.run(&["ip", "-brief", "link", "show"])?;
    for name in links.lines().filter_map(|line| line.split_whitespace().next()) {
        let device = name.split('@').next().unwrap_or(name);
        for (direction, hook) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
            let filters = host.run(&["tc", "filter", "show", "dev", device, hook])?;
            let tcx = bpf::tcx_programs(host, device, direction)?;
            let attached = tcx > 0 || filters.contains("bpf");
            ensure!(
                attached == uplinks.contains(&device),
                "{device} {hook}: {tcx} tcx programs, filters: {filters:?}"
            );
        }
    }
    Ok(())
}

/// One question to the shared address over the second uplink opens one flow, and its answer is
/// moved once.
fn expect_seen_once(lab: &Lab, prroute: &Instance<'_>) -> Result<()> {
    for family in Family::BOTH {
        let source = addressing::client(2, family);
        let ask = Probe { question: Question::Udp(53), source, target: addressing::shared(family) };
        let (opened, moved) = (prroute.count("opened_inbound")?, prroute.count("redirected")?);
        probe::expect_all_answered(&lab.ask(&[ask])?)?;
        let opened = prroute.count("opened_inbound")? - opened;
        let moved = prroute.count("redirected")? - moved;
        ensure!((opened, moved) == (1, 1), "{opened} opened, {moved} moved, {ask:?}");
    }
    Ok(())
}
