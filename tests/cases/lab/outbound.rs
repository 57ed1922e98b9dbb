//! What the host opens itself, and what it only forwards, goes where routing sends it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::services;

const TCP_PORT: u16 = 7080;
const UDP_PORT: u16 = 7053;

/// A lab whose client serves, for requests of the host.
fn lab_with_servers(topology: Topology) -> Result<Lab> {
    let mut lab = Lab::build(topology)?;
    let mut addresses = Vec::new();
    for family in Family::BOTH {
        addresses.push(addressing::stateless_client(family));
        addresses.extend((1..=topology.uplinks).map(|n| addressing::client(n, family)));
    }
    let nginx = services::nginx(&lab.client, &lab.scratch, TCP_PORT)?;
    let dnsmasq = services::dnsmasq(&lab.client, &addresses, UDP_PORT)?;
    lab.keep_running(nginx);
    lab.keep_running(dnsmasq);
    Ok(lab)
}

/// The host asks `target` from `source`: TCP, five UDP queries of one flow, five echo requests.
fn host_asks(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<()> {
    let (from, to) = (source.to_string(), target.to_string());
    let url = format!("http://{}/", SocketAddr::new(target, TCP_PORT));
    lab.host.run(&["curl", "-sSf", "--noproxy", "*", "-m", "5", "--interface", &from, &url])?;
    let (bind, at, port) = (format!("{from}#6001"), format!("@{to}"), UDP_PORT.to_string());
    for _ in 0..5 {
        let dig = ["dig", "+short", "+tries=1", "+time=5", "-b", &bind, "-p", &port, &at];
        let answer = lab.host.run(&[&dig[..], &[services::DNS_NAME, "A"]].concat())?;
        ensure!(answer.trim() == services::DNS_ADDRESS, "{answer}");
    }
    let option = Family::of(target).option();
    let ping = ["ping", option, "-n", "-q", "-c", "5", "-i", "0.05", "-W", "5", "-I", &from, &to];
    lab.host.run(&ping).map(drop)
}

/// How many packets each router saw from `source` to `target`.
fn arrived(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Vec<u64>> {
    lab.routers.iter().map(|router| router.arrived(source, target)).collect()
}

/// The client's answers take the way through router 2, whichever way the question came.
#[test]
fn answers_over_another_uplink_move_nothing() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = lab_with_servers(Topology::DEFAULT)?;
        for family in Family::BOTH {
            let (shared, router) = (addressing::shared(family), addressing::router_wan(2, family));
            lab.client.ip(&format!("route add {shared} via {router}"))?;
        }
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                let (source, target) =
                    (addressing::shared(family), addressing::stateless_client(family));
                host_asks(&lab, source, target)?;
                let seen = arrived(&lab, source, target)?;
                // Five queries, five echo requests, and several segments.
                assert!(seen[0] >= 14, "over uplink 1: {seen:?}");
                assert_eq!(seen[1..], [0, 0], "over the others: {seen:?}");
            }
            Ok(())
        })
    })
}

/// Bound to an uplink's address, the host asks over that uplink.
#[test]
fn own_sources_leave_by_their_uplink() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = lab_with_servers(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                for n in 1..=3 {
                    let (source, target) =
                        (addressing::host(n, family), addressing::client(n, family));
                    host_asks(&lab, source, target)?;
                    let seen = arrived(&lab, source, target)?;
                    for (i, &count) in seen.iter().enumerate() {
                        let mine = i + 1 == usize::from(n);
                        assert!(
                            if mine { count >= 14 } else { count == 0 },
                            "from {source}: {seen:?}"
                        );
                    }
                }
            }
            Ok(())
        })
    })
}

/// A route of main that is more specific than a default wins over the source.
#[test]
fn specific_routes_of_main_win_over_the_source() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = lab_with_servers(Topology::DEFAULT)?;
        for family in Family::BOTH {
            let (target, gateway) = (addressing::client(2, family), addressing::gateway(3, family));
            lab.host.ip(&format!("route add {target} via {gateway} dev up3"))?;
        }
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                let (source, target) = (addressing::host(2, family), addressing::client(2, family));
                let (from, to) = (source.to_string(), target.to_string());
                // Router 3 drops a foreign source, but counts it.
                let ping =
                    ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "1", "-I", &from, &to];
                let output = lab.host.output(&ping)?;
                assert_eq!(output.status.code(), Some(1), "{output:?}");
                assert_eq!(arrived(&lab, source, target)?, [0, 0, 1]);
            }
            Ok(())
        })
    })
}

/// The host as a router: a request comes in on uplink 1 and goes on by uplink 2; its answer
/// comes in there and goes on by uplink 3, because main says so.
#[test]
fn transit_follows_the_routing_table() -> Result<()> {
    in_both_modes(|own_source| {
        let mut lab = Lab::build(Topology { ip_forward: true, ..Topology::DEFAULT })?;
        let beyond: [IpAddr; 2] = ["10.50.0.1".parse()?, "2001:db8:50::1".parse()?];
        let (first, second) = (&lab.router(1).namespace, &lab.router(2).namespace);
        second.sysctl(&["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lan.rp_filter=0"])?;
        for (family, beyond) in Family::BOTH.into_iter().zip(beyond) {
            let client = addressing::client(1, family);
            let host = |n| addressing::host(n, family);
            let gateway = |n| addressing::gateway(n, family);
            let length = addressing::full_length(family);
            let at_once = addressing::at_once(family);
            second.ip(&format!("address add {beyond}/{length} dev lo {at_once}"))?;
            second.ip(&format!("route add {client} via {} dev lan", host(2)))?;
            first.ip(&format!("route add {beyond} via {} dev lan", host(1)))?;
            lab.host.ip(&format!("route add {beyond} via {} dev up2", gateway(2)))?;
            lab.host.ip(&format!("route add {client} via {} dev up3", gateway(3)))?;
        }
        let dnsmasq = services::dnsmasq(second, &beyond, UDP_PORT)?;
        let nginx = services::nginx(second, &lab.scratch, TCP_PORT)?;
        lab.keep_running(dnsmasq);
        lab.keep_running(nginx);
        lab.with_own_source(own_source, |_| {
            for (family, beyond) in Family::BOTH.into_iter().zip(beyond) {
                let client = addressing::client(1, family);
                let (from, to) = (client.to_string(), beyond.to_string());
                // Router 3 has not seen the requests: the client gets no answer.
                let ping = ["ping", family.option(), "-n", "-q", "-c", "3", "-i", "0.1", "-W", "1"];
                lab.client.output(&[&ping[..], &["-I", &from, &to]].concat())?;
                let (at, port) = (format!("@{to}"), UDP_PORT.to_string());
                let dig =
                    ["dig", "+tries=1", "+time=1", "-b", &from, "-p", &port, &at, "probe.test"];
                lab.client.output(&dig)?;
                let url = format!("http://{}/", SocketAddr::new(beyond, TCP_PORT));
                let curl = ["curl", "-s", "--noproxy", "*", "-m", "1", "--interface", &from, &url];
                lab.client.output(&curl)?;
                // Three echoes, one query, one SYN.
                let there = arrived(&lab, client, beyond)?;
                assert!(there[1] >= 5 && there[0] == 0 && there[2] == 0, "requests: {there:?}");
                let back = arrived(&lab, beyond, client)?;
                assert!(back[2] >= 5 && back[0] == 0 && back[1] == 0, "answers: {back:?}");
            }
            Ok(())
        })
    })
}
