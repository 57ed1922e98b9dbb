//! What does not fit, by mistake: gateways, MTUs, subnets and interfaces of the configuration. A flow does not
//! suffer from most of it, and `explain` says which way it takes all the same. And what changed while nobody
//! followed.

use anyhow::{Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::probe::{Probe, Question};

use super::{Explained, TWO, expect_agreement, expect_all, to_own, to_shared};
use crate::faults::uplinks::add_bridge_of_containers;

const TCP: Question = Question::Tcp(80);

/// Answered, as is said, and the steps say so.
fn expect_said(lab: &Lab, configuration: &str, asked: &[Probe], said: &[&str]) -> Result<()> {
    lab.meet_default_gateway()?;
    lab.with_configuration(configuration, |prroute| {
        prroute.output(&["wait", "--timeout", "1m"])?.success()?;
        for explained in expect_agreement(lab, prroute, asked)? {
            explained.expect("answered", None)?;
            for words in said {
                ensure!(explained.text.contains(words), "no {words:?}:\n{}", explained.text);
            }
        }
        Ok(())
    })
}

/// Main knows another one, which is used.
fn is_answered_in_spite_of(gateway: &str) -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let configuration = format!("[[uplink]]\nname = \"up2\"\ngateway = [\"{gateway}\"]\n");
    let asked = [to_shared(2, TCP, Family::V4), to_own(2, TCP, Family::V4)];
    expect_said(&lab, &configuration, &asked, &["up2 via 10.0.2.1 lladdr"])
}

#[test]
fn a_configured_gateway_that_does_not_answer() -> Result<()> {
    is_answered_in_spite_of("10.0.2.9")
}

#[test]
fn a_configured_gateway_outside_the_subnet() -> Result<()> {
    is_answered_in_spite_of("10.9.9.9")
}

#[test]
fn a_configured_gateway_that_is_the_hosts_own_address() -> Result<()> {
    is_answered_in_spite_of("10.0.2.10")
}

/// The address is the other uplink's, and the reply leaves where it was asked.
#[test]
fn two_uplinks_in_one_subnet() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.host.ip("address add 10.0.1.20/24 dev up2")?;
    let ping = to_own(1, Question::Ping, Family::V4);
    let asked = [Probe { target: "10.0.1.20".parse()?, ..ping }];
    let said = ["10.0.1.20 on up2, its own", "up2: reply, to its uplink, moved to up1"];
    expect_said(&lab, "", &asked, &said)
}

/// What the other end of the link takes no host can see: only `doctor --probe` asks.
#[test]
fn an_mtu_that_the_gateway_does_not_have() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.host.ip("link set dev up2 mtu 9000")?;
    expect_said(&lab, "", &[to_shared(2, TCP, Family::V4)], &["up2 via 10.0.2.1", "MTU 9000 fits"])
}

#[test]
fn a_bridge_of_containers_that_is_named_as_an_uplink() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    add_bridge_of_containers(&lab)?;
    lab.with_configuration("[[uplink]]\nname = \"docker0\"\n", |prroute| {
        prroute.output(&["wait", "--timeout", "1m"])?.success()?;
        expect_all(&lab, prroute, &[to_shared(2, TCP, Family::V4)], ("answered", None))?;
        let words = "tcp from 172.17.0.2:999 to 203.0.113.1:80 iif docker0";
        let of_container = Explained::by(prroute, words)?;
        of_container.expect("answered", None)?;
        ensure!(of_container.text.contains("docker0 via 172.17.0.2"), "{}", of_container.text);
        Ok(())
    })
}

#[test]
fn a_cable_that_is_pulled_while_no_daemon_runs() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.kill()?;
    lab.router(2).namespace.ip("link set host down")?;
    let asked = [to_shared(2, TCP, Family::V4)];
    expect_all(&lab, &prroute, &asked, ("dropped", Some("uplink")))?;
    let explained = Explained::of(&prroute, &asked[0])?;
    ensure!(explained.way["remedy"].to_string().contains("see to its cable"), "{explained:#?}");
    prroute.down().map(drop)
}
