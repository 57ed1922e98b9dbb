//! prroute is a good citizen of the tc chain: programs of others before and after ours keep
//! running, and are still there when ours are gone.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::services;

/// A lab whose host has web servers on ports 80 to 84; each port above 80 is for one foreign
/// program that drops it.
fn lab_with_ports() -> Result<Lab> {
    let mut lab = Lab::with_services(Topology::DEFAULT)?;
    for port in DROPPED {
        let nginx = services::nginx(&lab.host, &lab.scratch, port)?;
        lab.keep_running(nginx);
    }
    Ok(lab)
}

const DROPPED: [u16; 4] = [81, 82, 83, 84];

/// A filter that drops IPv4 TCP packets of `port`: to it when they come in, from it when they
/// leave.
fn add_filter(lab: &Lab, direction: Direction, pref: u16, port: u16) -> Result<()> {
    let (hook, offset) = match direction {
        Direction::Ingress => ("ingress", 36),
        Direction::Egress => ("egress", 34),
    };
    let bytecode = format!(
        "8,40 0 0 12,21 0 5 2048,48 0 0 23,21 0 3 6,40 0 0 {offset},21 0 1 {port},\
         6 0 0 2,6 0 0 4294967295"
    );
    let pref = pref.to_string();
    let place = ["tc", "filter", "add", "dev", "up2", hook, "pref", &pref, "protocol", "all"];
    lab.host.run(&[&place[..], &["bpf", "da", "bytecode", &bytecode]].concat()).map(drop)
}

/// Filters before and after ours, both ways.
fn add_filters(lab: &Lab) -> Result<()> {
    lab.host.run(&["tc", "qdisc", "add", "dev", "up2", "clsact"])?;
    add_filter(lab, Direction::Ingress, 1, 81)?;
    add_filter(lab, Direction::Ingress, 65_000, 82)?;
    add_filter(lab, Direction::Egress, 1, 83)?;
    add_filter(lab, Direction::Egress, 65_000, 84)
}

/// Over the second uplink only port 80 is answered; all are over the third.
fn expect_foreign_programs_work(lab: &Lab, with_prroute: bool) -> Result<()> {
    let family = Family::V4;
    let ask = |n: u8, target: IpAddr, port: u16| Probe {
        question: Question::Tcp(port),
        source: addressing::client(n, family),
        target,
    };
    let mut probes = Vec::new();
    for port in [80].into_iter().chain(DROPPED) {
        for n in [2, 3] {
            probes.push(ask(n, addressing::host(n, family), port));
            probes.push(ask(n, addressing::shared(family), port));
        }
    }
    let outcomes = lab.ask(&probes)?;
    probe::expect_answered(&outcomes, |probe| {
        with_prroute && (probe.uplink() == 3 || probe.question == Question::Tcp(80))
    })
}

fn works_beside_filters(attach: &str) -> Result<()> {
    let lab = lab_with_ports()?;
    add_filters(&lab)?;
    lab.meet_default_gateway()?;
    expect_foreign_programs_work(&lab, false)?;
    let before = lab.snapshot()?;

    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("attach = \"{attach}\"\n"))?;
    let daemon = prroute.run(&[])?;
    let hook = &prroute.status()?["uplinks"][0]["hook"];
    assert_eq!(hook.as_str().map(str::to_lowercase).as_deref(), Some(attach));
    expect_foreign_programs_work(&lab, true)?;
    daemon.kill()?;
    expect_foreign_programs_work(&lab, true)?;
    // A second daemon finds its own filters, and adds none.
    let daemon = prroute.run(&[])?;
    expect_foreign_programs_work(&lab, true)?;
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn clsact_beside_clsact_filters() -> Result<()> {
    works_beside_filters("clsact")
}

#[test]
fn tcx_beside_clsact_filters() -> Result<()> {
    works_beside_filters("tcx")
}

/// Somebody has a filter of the priority of ours, for one protocol: the kernel has no second one there.
#[test]
fn clsact_where_one_filter_is_refused_leaves_the_other_to_nobody() -> Result<()> {
    for hook in ["ingress", "egress"] {
        let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
        lab.host.run(&["tc", "qdisc", "add", "dev", "up2", "clsact"])?;
        let place = ["tc", "filter", "add", "dev", "up2", hook, "pref", "1", "protocol", "ip"];
        lab.host.run(&[&place[..], &["bpf", "da", "bytecode", "1,6 0 0 4294967295"]].concat())?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.configured("attach = \"clsact\"\n")?;
        let output = prroute.output(&["run"])?;
        let named = output.stderr.contains(&format!("attach the {hook} filter"));
        ensure!(!output.status.success() && named, "{output:?}");
        lab.expect_unchanged_since(&before)?;
    }
    Ok(())
}

fn works_beside_tcx(attach: &str) -> Result<()> {
    let lab = lab_with_ports()?;
    let drop_port = |place, port| bpf::drop_port(&lab.host, "up2", Direction::Ingress, place, port);
    let mut links = vec![drop_port(Place::Head, 81)?, drop_port(Place::Tail, 82)?];
    let before = lab.snapshot()?;
    lab.with_configuration(&format!("attach = \"{attach}\"\n"), |_| {
        // Others come after us too, before and behind.
        links.push(drop_port(Place::Head, 83)?);
        links.push(drop_port(Place::Tail, 84)?);
        expect_foreign_programs_work(&lab, true)
    })?;
    links.truncate(2);
    lab.expect_unchanged_since(&before)
}

#[test]
fn tcx_beside_tcx_programs() -> Result<()> {
    works_beside_tcx("tcx")
}

#[test]
fn clsact_beside_tcx_programs() -> Result<()> {
    works_beside_tcx("clsact")
}

/// A bridge of that name with an address.
fn bridge(lab: &Lab) -> Result<()> {
    lab.host.ip_batch(
        "link add name br0 type bridge\n\
         address add 10.0.50.10/24 dev br0\n\
         link set br0 up\n",
    )
}

/// On how many hooks of a device our filters are.
fn filters(lab: &Lab, device: &str) -> Result<usize> {
    let mut count = 0;
    for hook in ["ingress", "egress"] {
        let filters = lab.host.run(&["tc", "filter", "show", "dev", device, hook])?;
        count += usize::from(filters.contains("prroute_"));
    }
    Ok(count)
}

/// VLANs, bonds and bridges are remembered by name: a new one of that name has the old one's id.
#[test]
fn clsact_filters_leave_a_device_whose_name_and_id_another_one_has() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let configuration = "attach = \"clsact\"\n[[uplink]]\nname = \"br0\"\n";
    let prroute = lab.prroute()?.configured(configuration)?;
    let id = || -> Result<serde_json::Value> {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().cloned().unwrap_or_default();
        let uplink = uplinks.into_iter().find(|uplink| uplink["name"] == "br0");
        Ok(uplink.context("br0 is an uplink")?["id"].clone())
    };
    bridge(&lab)?;
    let daemon = prroute.run(&[])?;
    let before = id()?;
    assert_eq!(filters(&lab, "br0")?, 2);
    daemon.terminate()?;
    lab.host.ip_batch("address flush dev br0\nlink set br0 down\nlink set br0 name old\n")?;
    bridge(&lab)?;
    let daemon = prroute.run(&[])?;
    assert_eq!(id()?, before, "the id has another device");
    assert_eq!((filters(&lab, "br0")?, filters(&lab, "old")?), (2, 0));
    let qdiscs = lab.host.run(&["tc", "qdisc", "show", "dev", "old"])?;
    ensure!(!qdiscs.contains("clsact"), "{qdiscs}");
    daemon.terminate()?;
    prroute.down()?;
    assert_eq!((filters(&lab, "br0")?, filters(&lab, "old")?), (0, 0));
    Ok(())
}
