//! Source-specific default routes of IPv6 (`default from 2001:db8:2::/64 via ...`), as systemd-networkd
//! and RFC 8028 hosts have them: what main does right is left to main.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::{services, wait};

const SOON: Duration = Duration::from_secs(10);

const PUBLISHED: u16 = 8080;

const V6: Family = Family::V6;

fn default_from(number: u8) -> String {
    let (prefix, gateway) = (addressing::prefix(number, V6), addressing::gateway(number, V6));
    format!("default from {prefix} via {gateway} dev {}", addressing::device(number))
}

/// Two uplinks, and main holds nothing but a source-specific default route for each.
fn two_prefixes(topology: Topology) -> Result<Lab> {
    let lab = Lab::with_services(Topology { uplinks: 2, defaults: Defaults::Nowhere, ..topology })?;
    for number in [1, 2] {
        lab.host.ip(&format!("-6 route add {}", default_from(number)))?;
    }
    Ok(lab)
}

fn of_ipv6(probes: Vec<Probe>) -> Vec<Probe> {
    probes.into_iter().filter(|probe| Family::of(probe.target) == V6).collect()
}

fn has_rules_for(lab: &Lab, number: u8) -> Result<bool> {
    let prefix = addressing::prefix(number, V6);
    let network = prefix.trim_end_matches("/64");
    let rules = lab.host.ip("-6 rule show")?;
    Ok(rules.lines().any(|rule| rule.contains(&format!("from {network}"))))
}

fn expect_rules_for_second(lab: &Lab, expected: bool) -> Result<()> {
    wait::until("rules come or go", SOON, || Ok((has_rules_for(lab, 2)? == expected).then_some(())))
}

#[test]
fn addresses_that_main_routes_by_source_are_left_to_main() -> Result<()> {
    let lab = two_prefixes(Topology::DEFAULT)?;
    let own = of_ipv6(probe::to_own_addresses(2, &Question::ALL));
    let shared = of_ipv6(probe::to_shared_address(2, &Question::ALL));
    lab.expect_answered_within(SOON, &own)?;
    probe::expect_answered(&lab.ask(&shared)?, |_| false)?;
    let before = lab.snapshot()?;

    let prroute = lab.prroute()?;
    let plan = prroute.output(&["plan"])?.success()?;
    for number in [1, 2] {
        let said = format!(
            "# {}: already routed by source (main's route {}); prroute adds nothing for it",
            addressing::host(number, V6),
            default_from(number)
        );
        ensure!(plan.contains(&said), "no {said:?} in\n{plan}");
    }
    prroute.while_running(|_| {
        probe::expect_all_answered(&lab.ask(&own)?)?;
        // An address of the host as a whole is in neither prefix: who asked is answered.
        lab.expect_answered_within(SOON, &shared)?;
        probe::expect_all_answered(&lab.ask(&shared)?)?;
        ensure!(!has_rules_for(&lab, 1)? && !has_rules_for(&lab, 2)?, "rules for what main does");

        // Another default route takes its place, and gives it back.
        let gateway = addressing::gateway(2, V6);
        lab.host.ip(&format!("-6 route add default via {gateway} dev up2 metric 2048"))?;
        lab.host.ip(&format!("-6 route del {}", default_from(2)))?;
        expect_rules_for_second(&lab, true)?;
        lab.expect_answered_within(SOON, &own)?;
        lab.host.ip(&format!("-6 route add {}", default_from(2)))?;
        expect_rules_for_second(&lab, false)?;
        lab.host.ip(&format!("-6 route del default via {gateway} dev up2 metric 2048"))?;
        lab.expect_answered_within(SOON, &[own, shared].concat())
    })?;
    lab.expect_unchanged_since(&before)
}

/// What a container answers leaves with its own address, for which main has another default route.
#[test]
fn replies_of_containers_go_by_the_gateway_of_the_source_prefix() -> Result<()> {
    let lab = two_prefixes(Topology { ip_forward: true, ..Topology::DEFAULT })?;
    let gateway = addressing::gateway(1, V6);
    lab.host.ip(&format!("-6 route add default via {gateway} dev up1 metric 2048"))?;
    let pods = lab.pods(1)?;
    let nginx = services::nginx(&pods[0], &lab.scratch, 80)?;
    lab.host.nft(&format!(
        "table ip6 published {{
            chain prerouting {{
                type nat hook prerouting priority dstnat;
                fib daddr type local tcp dport {PUBLISHED} dnat to [{}]:80
            }}
        }}",
        addressing::pod(1, V6)
    ))?;
    let published = of_ipv6(probe::to_own_addresses(2, &[Question::Tcp(PUBLISHED)]));
    wait::until("the first uplink's is answered", SOON, || {
        Ok(lab.ask(&published[..1])?[0].answered().then_some(()))
    })?;
    probe::expect_answered(&lab.ask(&published)?, |probe| probe.uplink() == 1)?;

    // Not by the router that asked: by the gateway that the route names.
    lab.with_configuration("[[uplink]]\nname = \"up*\"\nreply = \"gateway\"\n", |prroute| {
        lab.expect_answered_within(SOON, &published)?;
        let status = prroute.status_text(&[])?;
        let said = format!("{} for {}", addressing::gateway(2, V6), addressing::prefix(2, V6));
        ensure!(status.contains(&said), "no {said:?} in\n{status}");
        ensure!(!has_rules_for(&lab, 2)?, "rules for what main does");
        Ok(())
    })?;
    drop(nginx);
    drop(pods);
    Ok(())
}
