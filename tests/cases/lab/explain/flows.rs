//! Flows that exist.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::Lab;
use prroute_tests::{echo, socket, wait};

use super::{Explained, TWO};

const PORT: u16 = 7013;
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_flow_is_explained_by_its_ends_alone() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let own = addressing::host(2, Family::V4);
    // The first router knows the way to the other link's address, and lets its replies pass.
    let (first, via) = (&lab.router(1).namespace, addressing::host(1, Family::V4));
    first.ip(&format!("route add {own} via {via}"))?;
    first.nft("insert rule inet firewall forward accept")?;
    lab.with_prroute(|prroute| {
        let shared = addressing::shared(Family::V4);
        let _echo = Echo::start(&lab.host, &[shared, own], PORT)?;
        // What comes in elsewhere than on the owner of its address is told by its numbers.
        for (number, target, is_moved) in [(2, shared, true), (2, own, false), (1, own, true)] {
            let source = addressing::client(number, Family::V4);
            let mut connection = socket::tcp(&lab.client, source, target, PORT)?;
            echo::tcp_round(&mut connection, 500)?;
            let client = connection.local_addr().context("the client's end")?;
            let explained = Explained::by(prroute, &format!("flow {target}:{PORT} {client}"))?;
            explained.expect("answered", None)?;
            ensure!(explained.way["iif"] == format!("up{number}"), "{explained:#?}");
            ensure!(explained.way["leaves"]["moved"] == is_moved, "{}", explained.text);
            ensure!(explained.text.contains("a connection"), "{}", explained.text);
            // What was asked has changed nothing.
            echo::tcp_round(&mut connection, 500)?;
        }
        let nobody = prroute.output(&["explain", "flow", "203.0.113.1:1", "198.51.100.12:1"])?;
        ensure!(nobody.status.code() == Some(1), "{nobody:?}");
        ensure!(nobody.stderr.contains("no flow between"), "{nobody:?}");
        Ok(())
    })
}

#[test]
fn a_flow_whose_uplink_went_down_says_what_becomes_of_its_replies() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.with_configuration("on-down = \"hold\"\n", |prroute| {
        let shared = addressing::shared(Family::V4);
        let _echo = Echo::start(&lab.host, &[shared], PORT)?;
        let source = addressing::client(2, Family::V4);
        let mut connection = socket::tcp(&lab.client, source, shared, PORT)?;
        echo::tcp_round(&mut connection, 500)?;
        let client = connection.local_addr().context("the client's end")?;
        let asked = format!("flow {shared}:{PORT} {client}");
        lab.router(2).namespace.ip("link set host down")?;
        Explained::by(prroute, &asked)?.expect("dropped", Some("uplink"))?;
        // Without its default route a veth is no uplink.
        lab.host.ip("link set up2 down")?;
        let words = format!("explain {asked}");
        let mut said = String::new();
        wait::until("the uplink is gone", SOON, || {
            said = prroute.output(&words.split(' ').collect::<Vec<_>>())?.stderr;
            Ok(said.contains("uplink 2, which is gone").then_some(()))
        })
        .with_context(|| said.clone())
    })
}
