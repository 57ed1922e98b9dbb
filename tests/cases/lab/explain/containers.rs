//! Services behind the host: published ports of containers, and guests on routed prefixes.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::Question;
use prroute_tests::{services, socket};

use super::{Explained, TWO, expect_agreement, expect_all, probes};

const FORWARDS: Topology = Topology { ip_forward: true, ..TWO };
const PUBLISHED: u16 = 8080;

/// A container with nginx, and its port published on every address of the host.
fn published(topology: Topology) -> Result<(Lab, Vec<Namespace>)> {
    let mut lab = Lab::build(topology)?;
    let pods = lab.pods(1)?;
    let nginx = services::nginx(&pods[0], &lab.scratch, 80)?;
    lab.keep_running(nginx);
    let pod = Family::BOTH.map(|family| addressing::pod(1, family));
    lab.host.nft(&format!(
        "table inet nat {{
            chain pre {{
                type nat hook prerouting priority dstnat;
                fib daddr type local tcp dport {PUBLISHED} jump publish
            }}
            chain publish {{
                meta nfproto ipv4 meta l4proto tcp dnat ip to {}:80
                meta nfproto ipv6 meta l4proto tcp dnat ip6 to [{}]:80
            }}
        }}",
        pod[0], pod[1]
    ))?;
    lab.meet_default_gateway()?;
    Ok((lab, pods))
}

#[test]
fn a_published_port_is_followed_to_its_container_and_back() -> Result<()> {
    let (lab, _pods) = published(FORWARDS)?;
    lab.with_prroute(|prroute| {
        let web = [Question::Tcp(PUBLISHED)];
        let mut all = probes(addressing::host, &web);
        all.extend(probes(|_, family| addressing::shared(family), &web));
        let explained = expect_agreement(&lab, prroute, &all)?;
        for (probe, explained) in all.iter().zip(&explained) {
            explained.expect("answered", None)?;
            ensure!(explained.text.contains("DNAT to"), "{}", explained.text);
            let is_moved = &explained.way["leaves"]["moved"];
            ensure!(*is_moved == (probe.uplink() == 2), "{}", explained.text);
        }
        let (source, target) = (addressing::client(2, Family::V4), addressing::shared(Family::V4));
        let connection = socket::tcp(&lab.client, source, target, PUBLISHED)?;
        let client = connection.local_addr().context("the client's end")?;
        let flow = Explained::by(prroute, &format!("flow {target}:{PUBLISHED} {client}"))?;
        flow.expect("answered", None)?;
        ensure!(flow.text.contains("conntrack knows the flow"), "{}", flow.text);
        Ok(())
    })
}

#[test]
fn a_host_that_does_not_forward_stops_there() -> Result<()> {
    let (lab, _pods) = published(FORWARDS)?;
    lab.with_prroute(|prroute| {
        lab.host.sysctl(&["net.ipv4.conf.up2.forwarding=0"])?;
        let all = probes(addressing::host, &[Question::Tcp(PUBLISHED)]);
        let over_2: Vec<_> =
            all.into_iter().filter(|it| it.uplink() == 2 && it.source.is_ipv4()).collect();
        expect_all(&lab, prroute, &over_2, ("dropped", Some("forwarding")))?;
        let explained = Explained::of(prroute, &over_2[0])?;
        let remedy = "sysctl -w net/ipv4/conf/up2/forwarding=1";
        ensure!(explained.way["remedy"] == remedy, "{explained:#?}");
        Ok(())
    })
}

#[test]
fn a_guest_on_a_routed_prefix_is_answered_over_the_uplink_that_was_asked() -> Result<()> {
    let mut lab = Lab::build(FORWARDS)?;
    let guest = lab.guest()?;
    let nginx = services::nginx(&guest, &lab.scratch, 80)?;
    lab.keep_running(nginx);
    lab.meet_default_gateway()?;
    lab.with_prroute(|prroute| {
        let all =
            probes(|_, family| addressing::guest(family), &[Question::Tcp(80), Question::Ping]);
        for explained in expect_agreement(&lab, prroute, &all)? {
            explained.expect("answered", None)?;
        }
        Ok(())
    })
}
