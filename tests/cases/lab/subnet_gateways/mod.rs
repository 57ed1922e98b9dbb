//! One interface, two subnets, two gateways (rented servers): what has an address of a subnet goes by
//! the gateway of that subnet, whose router drops every other source.
//!
//! ```text
//!     r1            r2   r3        stateful, against spoofing
//!      |             +-+-+
//!     up1             up2          10.0.2.10 and 10.0.3.10
//!      +----- host ----+
//! ```

mod rented;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo;
use prroute_tests::probe::{self, Question};
use prroute_tests::{services, socket, wait};

use rented::{Preferred, Rented, add_second_gateway};

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(5);
/// Until a gateway that falls silent counts as failed.
const NOTICED: Duration = Duration::from_secs(15);

const PUBLISHED: u16 = 8080;
const ECHO: u16 = 7007;

/// Where routing chooses the first subnet's gateway, what is forwarded is on its uplink already: only
/// the gateway is wrong.
#[test]
fn each_subnet_goes_by_its_gateway_on_the_uplink_of_mains_default() -> Result<()> {
    Rented::build(Preferred::FirstSubnet)?.goes_by_each_gateway("")
}

#[test]
fn each_subnet_goes_by_its_gateway_beside_another_uplink() -> Result<()> {
    let rented = Rented::build(Preferred::OtherUplink)?;
    let probes = rented.probes(&[2, 3]);
    probe::expect_answered(&rented.lab.ask(&probes)?, |_| false)?;
    rented.goes_by_each_gateway("")
}

/// An address of no subnet is answered by the router that was asked.
#[test]
fn an_address_of_the_host_as_a_whole_is_answered_by_each_router() -> Result<()> {
    for preferred in [Preferred::FirstSubnet, Preferred::OtherUplink] {
        let rented = Rented::build(preferred)?;
        let mut targets = Vec::new();
        for family in Family::BOTH {
            let target = addressing::shared(family);
            let length = addressing::full_length(family);
            let at_once = addressing::at_once(family);
            rented.lab.host.ip(&format!("address add {target}/{length} dev lo {at_once}"))?;
            targets.push(target);
        }
        let dnsmasq = services::dnsmasq(&rented.lab.host, &targets, 5353)?;
        let questions =
            [Question::Tcp(80), Question::Udp(5353), Question::Ping, Question::Tcp(PUBLISHED)];
        let probes = probe::to_shared_address(3, &questions);
        rented.lab.with_prroute(|_| {
            for _ in 0..3 {
                probe::expect_all_answered(&rented.lab.ask(&probes)?)?;
            }
            // A steady conversation takes the fast path.
            for family in Family::BOTH {
                for number in [1, 2, 3] {
                    let socket =
                        socket::udp(&rented.lab.client, addressing::client(number, family), 0)?;
                    let target = SocketAddr::new(addressing::shared(family), ECHO);
                    for round in 0..10 {
                        let answered = echo::udp_round(&socket, target, 100)?;
                        ensure!(answered, "{family}, router {number}, round {round}");
                    }
                }
            }
            drop(dnsmasq);
            Ok(())
        })?;
    }
    Ok(())
}

/// No rule knows the gateway of an address that is not the uplink's alone.
#[test]
fn a_shared_address_of_a_subnet_goes_by_the_gateway_of_the_subnet() -> Result<()> {
    for preferred in [Preferred::FirstSubnet, Preferred::OtherUplink] {
        let rented = Rented::build(preferred)?;
        let probes = rented.shares_an_address_of_the_second_subnet()?;
        rented.lab.with_prroute(|_| {
            // A busy machine may be ready before a gateway has answered.
            rented.lab.expect_answered_within(SOON, &probes)?;
            for _ in 0..3 {
                probe::expect_all_answered(&rented.lab.ask(&probes)?)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn each_subnet_goes_by_its_gateway_with_clsact() -> Result<()> {
    Rented::build(Preferred::FirstSubnet)?.goes_by_each_gateway("attach = \"clsact\"\n")
}

/// Without the daemon the datapath and the tables go on.
#[test]
fn the_route_of_the_second_gateway_comes_and_goes() -> Result<()> {
    let rented = Rented::build(Preferred::FirstSubnet)?;
    let lab = &rented.lab;
    for family in Family::BOTH {
        let gateway = addressing::gateway(3, family);
        lab.host.ip(&format!("route del default via {gateway} dev up2 metric 300"))?;
    }
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    assert_eq!(Rented::subnets(&prroute)?, []);
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
    probe::expect_answered(&lab.ask(&rented.probes(&[3]))?, |_| false)?;
    for _ in 0..2 {
        for family in Family::BOTH {
            add_second_gateway(lab, family)?;
        }
        rented.lab.expect_answered_within(SOON, &rented.probes(&[1, 2, 3]))?;
        for family in Family::BOTH {
            let gateway = addressing::gateway(3, family);
            lab.host.ip(&format!("route del default via {gateway} dev up2 metric 300"))?;
        }
        wait::until("the gateway is none any more", SOON, || {
            Ok(Rented::subnets(&prroute)?.is_empty().then_some(()))
        })?;
        probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
    }
    for family in Family::BOTH {
        add_second_gateway(lab, family)?;
    }
    rented.lab.expect_answered_within(SOON, &rented.probes(&[3]))?;
    daemon.kill()?;
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2, 3]))?)?;
    prroute.down()?;
    Ok(())
}

#[test]
fn a_gateway_that_fails_takes_only_its_subnet_with_it_and_comes_back() -> Result<()> {
    let rented = Rented::build(Preferred::OtherUplink)?;
    let lab = &rented.lab;
    lab.with_prroute(|prroute| {
        probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2, 3]))?)?;
        let third = &lab.router(3).namespace;
        third.ip("link set beside down")?;
        wait::until("the second gateway is said to be unreachable", NOTICED, || {
            let subnets = Rented::subnets(prroute)?;
            let all_fail = subnets.iter().all(|(_, usable)| !usable);
            Ok((!subnets.is_empty() && all_fail).then_some(()))
        })?;
        probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
        third.ip("link set beside up")?;
        rented.lab.expect_answered_within(NOTICED, &rented.probes(&[1, 2, 3]))?;

        // And the other one: the second subnet is not the worse for it.
        let second = &lab.router(2).namespace;
        second.ip("address del 10.0.2.1/24 dev lan")?;
        second.ip("address del 2001:db8:2::1/64 dev lan")?;
        wait::until("the preferred gateway is said to be unreachable", NOTICED, || {
            let gateways = Family::BOTH.map(|family| addressing::gateway(2, family).to_string());
            let subnets = Rented::subnets(prroute)?;
            let is_said = |gateway: String| subnets.contains(&(gateway, false));
            Ok(gateways.into_iter().all(is_said).then_some(()))
        })?;
        probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 3]))?)?;
        second.ip("address add 10.0.2.1/24 dev lan")?;
        second.ip("address add 2001:db8:2::1/64 dev lan nodad")?;
        rented.lab.expect_answered_within(NOTICED, &rented.probes(&[1, 2, 3]))?;
        Ok(())
    })
}
