//! Gateways that are found in unusual places: on the link of an address without a prefix, in the
//! other family, and several in one route. Those of the usual places are in the other cases:
//! main in `conformance`, another table in `no_default`, DHCP and router advertisements in
//! `seed_002`, the configuration in `seed_003`, none in `last_hop`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::{probe, wait};

const SOON: Duration = Duration::from_secs(20);

/// Three uplinks without default routes, and with addresses.
fn build() -> Result<Lab> {
    Lab::with_services(Topology { rp_filter: 1, defaults: Defaults::Nowhere, ..Topology::DEFAULT })
}

/// Everything is answered, and undone.
fn conforms(lab: &Lab) -> Result<()> {
    let before = lab.snapshot()?;
    let probes = probe::to_everything(3);
    lab.meet_default_gateway()?;
    let without = lab.ask(&probes)?;
    ensure!(without.iter().any(|outcome| !outcome.answered()), "nothing to prove");

    lab.with_prroute(|_| {
        probe::expect_all_answered(&lab.ask(&probes)?)?;
        Ok(())
    })?;
    lab.expect_unchanged_since(&before)
}

/// As clouds do it that give a machine a single address.
#[test]
fn a_gateway_beside_an_address_without_a_prefix_is_used() -> Result<()> {
    let lab = build()?;
    for number in 1..=3 {
        let device = addressing::device(number);
        for family in Family::BOTH {
            let (address, gateway) =
                (addressing::host(number, family), addressing::gateway(number, family));
            let alone = addressing::full_length(family);
            lab.unconfigure(number, family)?;
            lab.host.ip(&format!("address add {address}/{alone} dev {device}"))?;
            lab.host.ip(&format!("route add {gateway} dev {device}"))?;
            let any = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
            lab.host
                .ip(&format!("route add {any} via {gateway} dev {device} metric 10{number}"))?;
        }
    }
    conforms(&lab)
}

/// RFC 5549: no router needs an IPv4 address.
#[test]
fn an_ipv6_gateway_of_ipv4_is_used() -> Result<()> {
    let lab = build()?;
    for number in 1..=3 {
        let (device, gateway) = (addressing::device(number), addressing::GATEWAY_LINK_LOCAL);
        for line in [
            format!("-4 route add 0.0.0.0/0 via inet6 {gateway} dev {device} metric 10{number}"),
            format!("-6 route add ::/0 via {gateway} dev {device} metric 10{number}"),
        ] {
            lab.host.ip(&line)?;
        }
    }
    conforms(&lab)
}

#[test]
fn each_gateway_of_one_multipath_route_is_used() -> Result<()> {
    let lab = build()?;
    for family in Family::BOTH {
        let any = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
        let hops: Vec<String> = (1..=3)
            .map(|number| {
                let (gateway, device) =
                    (addressing::gateway(number, family), addressing::device(number));
                format!("nexthop via {gateway} dev {device}")
            })
            .collect();
        let line = format!("route add {any} {}", hops.join(" "));
        lab.host.ip(&line).with_context(|| format!("{family}"))?;
    }
    conforms(&lab)
}

/// The kernel takes IPv4 routes away with their next hop object, and announces the object alone.
#[test]
fn a_default_route_that_goes_with_its_next_hop_object_is_noticed() -> Result<()> {
    let lab = build()?;
    for number in 1..=3 {
        let (device, gateway) =
            (addressing::device(number), addressing::gateway(number, Family::V4));
        lab.host.ip(&format!("nexthop add id {number} via {gateway} dev {device}"))?;
        lab.host.ip(&format!("route add 0.0.0.0/0 nhid {number} metric 10{number}"))?;
    }
    lab.with_prroute(|prroute| {
        // What the daemon makes of it: `status` looks for itself.
        let ours =
            format!("default via {} dev up2 table 21002", addressing::gateway(2, Family::V4));
        let is_known = || anyhow::Ok(lab.host.ip("route show table all")?.contains(&ours));
        ensure!(is_known()?, "{}", lab.host.ip("route show table all")?);
        lab.host.ip("nexthop del id 2")?;
        wait::until("the gateway is gone", SOON, || Ok((!is_known()?).then_some(())))
            .with_context(|| prroute.log())
    })
}
