//! A lab whose second uplink is another device than the veth that leads to its router.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::prroute::Instance;
use prroute_tests::{socket, wait};

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
pub(crate) fn lab(device: &str, make: impl FnOnce(&mut Lab) -> Result<()>) -> Result<Lab> {
    let mut lab = Lab::build(TOPOLOGY)?;
    for family in Family::BOTH {
        lab.host.ip(&format!("{} route del default dev {BELOW}", family.option()))?;
    }
    lab.host.ip(&format!("address flush dev {BELOW} scope global"))?;
    make(&mut lab).with_context(|| format!("make {device}"))?;
    settle(&lab, device)?;
    Ok(lab)
}

/// The second uplink's addresses and default routes.
fn settle(lab: &Lab, device: &str) -> Result<()> {
    let mut batch = format!("link set {device} up\n");
    for family in Family::BOTH {
        let (address, length) = (addressing::host(2, family), addressing::prefix_length(family));
        let at_once = addressing::at_once(family);
        batch += &format!("address add {address}/{length} dev {device} {at_once}\n");
    }
    for family in Family::BOTH {
        let gateway = addressing::gateway(2, family);
        batch += &format!("route add default via {gateway} dev {device} metric 200\n");
    }
    lab.host.ip_batch(&batch)
}

/// The port of the echo servers, on all addresses of the host.
pub(crate) const PORT: u16 = 7007;

/// Which questions over the first and over the second uplink are not answered.
pub(crate) fn silent(lab: &Lab) -> Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for n in 1..=2 {
        for family in Family::BOTH {
            let source = addressing::client(n, family);
            for target in [addressing::host(n, family), addressing::shared(family)] {
                let silent = echo::silent(&lab.client, source, target, PORT)?;
                unanswered.extend(
                    silent.into_iter().map(|question| {
                        format!("{question} from {source} to {target}, uplink {n}")
                    }),
                );
            }
        }
    }
    Ok(unanswered)
}

/// Whether one datagram to the shared address over the second uplink comes back.
fn is_answered(lab: &Lab, family: Family) -> Result<bool> {
    let socket = socket::udp(&lab.client, addressing::client(2, family), 0)?;
    socket.set_read_timeout(Some(wait::patience(Duration::from_secs(1))))?;
    echo::udp_round(&socket, (addressing::shared(family), PORT).into(), 100)
}

/// Everything is answered over both uplinks with prroute, and not over the second one without;
/// the programs are on both uplinks and on nothing else, and see each packet once.
pub(crate) fn conforms(lab: &Lab, device: &str, found: Found) -> Result<()> {
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.meet_default_gateway()?;
    for family in Family::BOTH {
        ensure!(!is_answered(lab, family)?, "{family} is answered without prroute");
    }
    let mut prroute = lab.prroute()?;
    if found == Found::ByName {
        prroute.configure(&format!("[[uplink]]\nname = \"{device}\"\n"))?;
    }
    lab.forget_neighbours()?;
    prroute.while_running(|prroute| {
        let silent = silent(lab)?;
        ensure!(silent.is_empty(), "not answered: {silent:#?}\n{:#}", prroute.status()?);
        expect_attached(&lab.host, &["up1", device])?;
        expect_seen_once(lab, prroute)
    })?;
    expect_attached(&lab.host, &[])
}

/// Programs are on these devices, both ways, and on no others.
pub(crate) fn expect_attached(host: &Namespace, uplinks: &[&str]) -> Result<()> {
    // Filters need a clsact qdisc, and nobody else makes one here.
    let qdiscs = host.run(&["tc", "qdisc", "show"])?;
    let links = host.run(&["ip", "-brief", "link", "show"])?;
    for name in links.lines().filter_map(|line| line.split_whitespace().next()) {
        let device = name.split('@').next().unwrap_or(name);
        let filters = qdiscs.contains(&format!("qdisc clsact ffff: dev {device} "));
        for direction in [Direction::Ingress, Direction::Egress] {
            let tcx = bpf::tcx_programs(host, device, direction)?;
            ensure!(
                (tcx > 0 || filters) == uplinks.contains(&device),
                "{device} {direction:?}: {tcx} tcx programs; {qdiscs}"
            );
        }
    }
    Ok(())
}

/// One datagram to the shared address over the second uplink opens one flow, and its answer is
/// moved once.
fn expect_seen_once(lab: &Lab, prroute: &Instance<'_>) -> Result<()> {
    for family in Family::BOTH {
        let (opened, moved) = (prroute.count("opened_inbound")?, prroute.count("redirected")?);
        ensure!(is_answered(lab, family)?, "{family} is not answered any more");
        let opened = prroute.count("opened_inbound")? - opened;
        let moved = prroute.count("redirected")? - moved;
        ensure!((opened, moved) == (1, 1), "{family}: {opened} opened, {moved} moved");
    }
    Ok(())
}
