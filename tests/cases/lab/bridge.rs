//! An uplink that is a bridge, as virtual machines' hosts have it: its port stands for the
//! physical device. Guests on routed addresses are behind another bridge.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::services;

const BRIDGE: &str = "br-uplink";
const GUESTS: &str = "br-guests";

/// Puts `port` below a new bridge, to which its addresses move.
fn bridge(host: &Namespace, name: &str, port: &str, addresses: &[(String, &str)]) -> Result<()> {
    let mut batch = format!(
        "link add name {name} type bridge forward_delay 0 mcast_snooping 0\n\
         address flush dev {port}\nlink set {port} master {name}\nlink set {name} up\n"
    );
    for (address, at_once) in addresses {
        batch += &format!("address add {address} dev {name} {at_once}\n");
    }
    host.ip_batch(&batch)
}

fn with_lengths(address: impl Fn(Family) -> std::net::IpAddr) -> [(String, &'static str); 2] {
    Family::BOTH.map(|family| {
        let length = addressing::prefix_length(family);
        let at_once = if family == Family::V6 { "nodad" } else { "" };
        (format!("{}/{length}", address(family)), at_once)
    })
}

/// Uplink 2 is a bridge, guests are behind another one, and host and guest serve.
fn lab() -> Result<(Lab, Namespace)> {
    let mut lab = Lab::build(Topology { ip_forward: true, rp_filter: 1, ..Topology::DEFAULT })?;
    let port = addressing::device(2);
    bridge(&lab.host, BRIDGE, &port, &with_lengths(|family| addressing::host(2, family)))?;
    lab.host.ip(&format!("link set {BRIDGE} address {}", addressing::host_mac(2)))?;
    lab.host.sysctl(&[&format!("net.ipv4.conf.{BRIDGE}.rp_filter=1")])?;
    for family in Family::BOTH {
        let gateway = addressing::gateway(2, family);
        let any = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
        lab.host.ip(&format!("route replace {any} via {gateway} dev {BRIDGE} metric 200"))?;
    }
    let guest = lab.guest()?;
    bridge(&lab.host, GUESTS, "guests", &with_lengths(addressing::guest_gateway))?;
    let servers = [
        services::nginx(&lab.host, &lab.scratch, 80)?,
        services::dnsmasq(&lab.host, &lab.host_addresses(), 53)?,
        services::nginx(&guest, &lab.scratch, 80)?,
        services::dnsmasq(&guest, &Family::BOTH.map(addressing::guest), 53)?,
    ];
    for server in servers {
        lab.keep_running(server);
    }
    Ok((lab, guest))
}

fn questions() -> Vec<Probe> {
    let mut probes = Vec::new();
    for n in 1..=3 {
        for family in Family::BOTH {
            let source = addressing::client(n, family);
            let targets = [
                addressing::host(n, family),
                addressing::shared(family),
                addressing::guest(family),
            ];
            for target in targets {
                let all = Question::ALL.into_iter();
                probes.extend(all.map(|question| Probe { question, source, target }));
            }
        }
    }
    probes
}

#[test]
fn a_bridge_is_an_uplink_beside_guests_on_another_one() -> Result<()> {
    let (lab, _guest) = lab()?;
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&questions())?, |probe| probe.uplink() == 1)
        .context("without prroute")?;
    let before = lab.snapshot()?;
    // A veth is no physical port: where it stands for one, the bridge has to be named.
    lab.with_configuration(&format!("[[uplink]]\nname = \"{BRIDGE}\"\n"), |prroute| {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        let names: Vec<_> = uplinks.iter().filter_map(|uplink| uplink["name"].as_str()).collect();
        ensure!(names.len() == 3 && names.contains(&BRIDGE), "{names:?}");
        probe::expect_all_answered(&lab.ask(&questions())?)?;
        ensure!(prroute.count("redirected")? > 0, "replies are moved");
        Ok(())
    })?;
    lab.expect_unchanged_since(&before)
}
