//! Links beside the uplinks, which are none and go on as before: VRFs and overlays.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::services;

use crate::second::{self, PORT};

const TOPOLOGY: Topology = Topology { routers_know_host: false, ..Topology::DEFAULT };

/// Why `device` is no uplink, as `prroute status` says it.
fn reason(prroute: &Instance<'_>, device: &str) -> Result<String> {
    let status = prroute.status()?;
    let skipped = status["skipped"].as_array().context("nothing was skipped")?;
    let skipped = skipped.iter().find(|skipped| skipped["name"] == device);
    let reason = skipped.and_then(|skipped| skipped["reason"].as_str());
    Ok(reason.with_context(|| format!("{device} was not skipped: {status:#}"))?.to_owned())
}

/// A VRF routes by its own table: a port of one is refused, and answers as it did.
#[test]
fn a_port_of_a_vrf_is_refused_and_left_alone() -> Result<()> {
    let mut lab = Lab::build(TOPOLOGY)?;
    lab.host.ip_batch("link add name vrf3 type vrf table 500\nlink set vrf3 up\n")?;
    lab.host.ip("link set up3 master vrf3")?;
    for family in Family::BOTH {
        let (option, gateway) = (family.option(), addressing::gateway(3, family));
        let (address, length) = (addressing::host(3, family), addressing::prefix_length(family));
        // IPv6 addresses go when a device joins a VRF, and main's routes over it with it.
        let at_once = addressing::at_once(family);
        lab.host.ip(&format!("address replace {address}/{length} dev up3 {at_once}"))?;
        lab.host.ip(&format!("{option} route add default via {gateway} dev up3 table 500"))?;
        drop(lab.host.output(&["ip", option, "route", "del", "default", "dev", "up3"])?);
    }
    lab.host.sysctl(&["net.ipv4.tcp_l3mdev_accept=1", "net.ipv4.udp_l3mdev_accept=1"])?;
    // A socket that is bound to no address is asked in every VRF.
    let nginx = services::nginx(&lab.host, &lab.scratch, 80)?;
    lab.keep_running(nginx);
    let mut addresses = lab.host_addresses();
    addresses.retain(|address| !Family::BOTH.map(|f| addressing::host(3, f)).contains(address));
    let _echo = Echo::start(&lab.host, &addresses, PORT)?;
    lab.meet_default_gateway()?;
    let probes: Vec<Probe> = Family::BOTH
        .into_iter()
        .flat_map(|family| {
            let (source, target) = (addressing::client(3, family), addressing::host(3, family));
            [Question::Tcp(80), Question::Ping].map(|question| Probe { question, source, target })
        })
        .collect();
    let expect_the_vrf_answers = || probe::expect_all_answered(&lab.ask(&probes)?);
    expect_the_vrf_answers().context("without prroute")?;

    lab.with_prroute(|prroute| {
        expect_the_vrf_answers()?;
        let silent = second::silent(&lab)?;
        ensure!(silent.is_empty(), "not answered: {silent:#?}");
        ensure!(reason(prroute, "up3")? == "port of vrf vrf3");
        second::expect_attached(&lab.host, &["up1", "up2"])
    })
}

fn ping(from: &Namespace, to: &str) -> Result<()> {
    from.run(&["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "10", to]).map(drop)
}

/// An overlay whose outer packets go over the second uplink's link.
#[test]
fn a_vxlan_is_no_uplink_and_works_beside_them() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..TOPOLOGY })?;
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    let (host, router) = (addressing::host(2, Family::V4), addressing::gateway(2, Family::V4));
    let add = |dev: &str, local, remote, inner: &str| {
        format!(
            "link add name vx2 type vxlan id 42 dev {dev} local {local} remote {remote} \
             dstport 4789\naddress add {inner}/24 dev vx2\nlink set vx2 up\n"
        )
    };
    lab.host.ip_batch(&add("up2", host, router, "10.42.0.10"))?;
    lab.router(2).namespace.ip_batch(&add("lan", router, host, "10.42.0.1"))?;
    ping(&lab.host, "10.42.0.1")?;

    lab.with_prroute(|prroute| {
        ensure!(reason(prroute, "vx2")? == "virtual device (vxlan) that no [[uplink]] names");
        second::expect_attached(&lab.host, &["up1", "up2"])?;
        ping(&lab.host, "10.42.0.1").context("from the host")?;
        ping(&lab.router(2).namespace, "10.42.0.10").context("to the host")?;
        let silent = second::silent(&lab)?;
        ensure!(silent.is_empty(), "not answered: {silent:#?}");
        Ok(())
    })
}
