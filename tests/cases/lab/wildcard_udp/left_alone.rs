//! Sockets and hosts that are none of prroute's business. Each answers from the first uplink's
//! address, which is not the one that was asked; the client is one whose answers no router
//! checks, and it is asked over and over from ports of which prroute knows what they asked.

use std::time::Duration;

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::wait;

use super::talk::{Client, expect_answered, questions, serve, wildcard};
use super::{UPLINKS, kernels_choice, lab, links};

const CLIENT_PORT: u16 = 6001;

/// Which address answers a question to the second uplink's.
fn answered_from(lab: &Lab, family: Family) -> Result<Option<std::net::IpAddr>> {
    let source = addressing::stateless_client(family);
    Client::open(&lab.client, source, CLIENT_PORT)?.ask(addressing::host(2, family))
}

/// A server in this mode, with the first uplink's address as an argument, answers from there,
/// although a naive one answers from the address asked.
fn answers_as_it_wants(mode: &str, listens: fn(Family) -> String) -> Result<()> {
    let lab = lab()?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (first, second) = (addressing::host(1, family), addressing::host(2, family));
            let mut naive = serve(&lab.host, &lab.scratch, "naive", wildcard(family), &[])?;
            assert_eq!(answered_from(&lab, family)?, Some(second), "naive");
            naive.kill()?;
            let source = first.to_string();
            let mut server = serve(&lab.host, &lab.scratch, mode, &listens(family), &[&source])?;
            assert_eq!(answered_from(&lab, family)?, Some(first), "{mode}");
            server.kill()?;
        }
        Ok(())
    })
}

#[test]
fn sockets_that_name_a_source_answer_from_there() -> Result<()> {
    answers_as_it_wants("pktinfo", |family| wildcard(family).to_owned())
}

#[test]
fn sockets_that_are_bound_to_an_address_answer_from_there() -> Result<()> {
    answers_as_it_wants("second", |family| addressing::host(2, family).to_string())
}

/// Every lab has the same addresses, and all are in the root of the same control groups.
#[test]
fn other_network_namespaces_are_left_alone() -> Result<()> {
    let (ours, other) = (lab()?, lab()?);
    ours.with_prroute(|_| {
        for family in Family::BOTH {
            let (first, second) = (addressing::host(1, family), addressing::host(2, family));
            let mut here = serve(&ours.host, &ours.scratch, "naive", wildcard(family), &[])?;
            let mut there = serve(&other.host, &other.scratch, "naive", wildcard(family), &[])?;
            assert_eq!(answered_from(&ours, family)?, Some(second));
            assert_eq!(answered_from(&other, family)?, Some(first));
            here.kill()?;
            there.kill()?;
        }
        Ok(())
    })
}

/// A host that forwards for others notes nothing about what passes.
#[test]
fn transit_is_not_noted() -> Result<()> {
    let lab = Lab::build(Topology { ip_forward: true, ..Topology::DEFAULT })?;
    let (client, beyond) = (addressing::client(1, Family::V4), "10.50.0.1".parse()?);
    let (here, there) = (addressing::host(1, Family::V4), addressing::gateway(2, Family::V4));
    lab.router(1).namespace.ip(&format!("route add {beyond} via {here} dev lan"))?;
    lab.host.ip(&format!("route add {beyond} via {there} dev up2"))?;
    let _server = serve(&lab.host, &lab.scratch, "naive", wildcard(Family::V4), &[])?;
    lab.with_prroute(|_| {
        let sender = Client::open(&lab.client, client, 0)?;
        sender.send(beyond, "transit")?;
        wait::until("the datagram passes", Duration::from_secs(5), || {
            Ok((lab.router(2).arrived(client, beyond)? == 1).then_some(()))
        })?;
        assert_eq!(links::noted4(lab.name())?, 0);
        assert_eq!(sender.ask(here)?, Some(here));
        assert_eq!(links::noted4(lab.name())?, 1);
        Ok(())
    })
}

/// A daemon that is told so takes away what an earlier one attached.
#[test]
fn every_socket_is_with_udp_source_off() -> Result<()> {
    let lab = lab()?;
    let _server = serve(&lab.host, &lab.scratch, "naive", wildcard(Family::V6), &[])?;
    let questions = questions(UPLINKS, &Family::BOTH);
    let mut prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    expect_answered(&lab.client, &questions, |_| true)?;
    let attached = links::pinned(lab.name())?;
    assert_eq!(attached.len(), 4, "{attached:?}");

    prroute.configure("udp-source = false\n")?;
    let daemon = prroute.run(&[])?;
    assert_eq!(links::pinned(lab.name())?, [0; 0]);
    links::wait_gone(&attached)?;
    expect_answered(&lab.client, &questions, kernels_choice)?;
    let status = prroute.status()?;
    assert_eq!(status["udp_source"]["state"], "off", "{status}");

    // A running daemon follows, too.
    prroute.configure("udp-source = true\n")?;
    prroute.output(&["reload"])?.success()?;
    expect_answered(&lab.client, &questions, |_| true)?;
    let attached = links::pinned(lab.name())?;
    assert_eq!(attached.len(), 4, "{attached:?}");
    prroute.configure("udp-source = false\n")?;
    prroute.output(&["reload"])?.success()?;
    links::wait_gone(&attached)?;
    expect_answered(&lab.client, &questions, kernels_choice)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
