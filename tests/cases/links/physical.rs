//! Real network cards, as far as a guest has them: two on a wire of their own (xtask makes them),
//! one for the host, one for its router.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{command, wait};
use serde_json::Value;

use crate::second::{self, BELOW, FAR_BELOW, Found, PORT};

const CARDS: [&str; 2] = ["52:54:00:00:00:01", "52:54:00:00:00:02"];

/// There is one pair of cards.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves both cards: the host's, called `name`, and the router's into its bridge, in the place
/// of the veth.
fn move_cards(lab: &Lab, name: &str) -> Result<()> {
    let router = &lab.router(2).namespace;
    for (mac, namespace, name) in [(CARDS[0], &lab.host, name), (CARDS[1], router, "card")] {
        // A card comes back when the lab before is gone, which takes the kernel a moment.
        let device = wait::until("the card is here", Duration::from_secs(30), || {
            let json = command::run(&["ip", "-j", "link", "show"])?;
            let links: Value = serde_json::from_str(&json).context("parse ip's links")?;
            let links = links.as_array().cloned().unwrap_or_default();
            let card = links.iter().find(|link| link["address"] == mac);
            Ok(card.and_then(|card| card["ifname"].as_str().map(str::to_owned)))
        })?;
        command::run(&["ip", "link", "set", &device, "down"])?;
        command::run(&["ip", "link", "set", &device, "name", name, "netns", namespace.name()])?;
    }
    router.ip(&format!("link set {FAR_BELOW} nomaster"))?;
    router.ip("link set card master lan up").map(drop)
}

#[test]
fn a_card_is_an_uplink() -> Result<()> {
    let _alone = alone();
    let lab = second::lab("enp0s3", |lab| move_cards(lab, "enp0s3"))?;
    second::conforms(&lab, "enp0s3", Found::ByItself)
}

#[test]
fn a_bridge_with_a_card_in_it_is_an_uplink_and_the_card_is_none() -> Result<()> {
    let _alone = alone();
    let lab = second::lab("br2", |lab| {
        move_cards(lab, "enp0s3")?;
        lab.host.ip_batch(
            "link add name br2 type bridge forward_delay 0 mcast_snooping 0\n\
             link set enp0s3 master br2 up\n",
        )
    })?;
    second::conforms(&lab, "br2", Found::ByItself)
}

/// The commonest broken host: an address on the second card, and nothing else. Nobody told the
/// host of its router.
#[test]
fn a_second_card_without_a_default_route_is_found_and_answers_the_router_that_asked() -> Result<()>
{
    let _alone = alone();
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    move_cards(&lab, "enp0s3")?;
    lab.host.ip(&format!("link del {BELOW}"))?;
    // The router knows the veth's address by heart.
    for family in Family::BOTH {
        let host = addressing::host(2, family);
        lab.router(2).namespace.ip(&format!("neigh del {host} dev lan"))?;
        let (length, nodad) = (addressing::prefix_length(family), addressing::at_once(family));
        lab.host.ip(&format!("address add {host}/{length} dev enp0s3 {nodad}"))?;
    }
    lab.host.ip("link set enp0s3 up")?;
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.meet_default_gateway()?;
    lab.with_prroute(|prroute| {
        let silent = second::silent(&lab)?;
        let status = prroute.status()?;
        ensure!(silent.is_empty(), "not answered: {silent:#?}\n{status:#}");
        let names: Vec<&str> = status["uplinks"]
            .as_array()
            .context("no uplinks")?
            .iter()
            .filter_map(|uplink| uplink["name"].as_str())
            .collect();
        ensure!(names == ["up1", "enp0s3"], "{names:?}");
        second::expect_attached(&lab.host, &["up1", "enp0s3"])
    })
}
