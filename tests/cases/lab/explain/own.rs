//! Addresses of the host itself: of one uplink, and shared by all.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe::Question;
use prroute_tests::wait;
use serde_json::Value;

use super::{Explained, TWO, expect_agreement, expect_all, probes, to_own, to_shared};

const SOON: Duration = Duration::from_secs(60);
const ANSWERED: (&str, Option<&str>) = ("answered", None);

#[test]
fn what_an_uplink_owns_is_answered_over_it_by_rule() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_own_source(OwnSource::Rules, |prroute| {
        let all = probes(addressing::host, &Question::ALL);
        expect_all(&lab, prroute, &all, ANSWERED)?;
        let tcp = Explained::of(prroute, &to_own(2, Question::Tcp(80), Family::V4))?;
        ensure!(tcp.way["leaves"]["via"] == "10.0.2.1", "{tcp:#?}");
        let mac = addressing::gateway_mac(2);
        ensure!(tcp.way["leaves"]["lladdr"] == mac.as_str(), "{tcp:#?}");
        let words = "explain tcp from 198.51.100.12 to 10.0.2.10:80 iif up2".split(' ');
        let text = prroute.output(&words.collect::<Vec<_>>())?.success()?;
        let line =
            "ANSWERED over up2 by rule, not by program: no flow is looked up, none is needed.";
        ensure!(text.ends_with(&format!("{line}\n")), "{text}");
        ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        Ok(())
    })
}

#[test]
fn what_all_share_is_moved_to_the_uplink_that_was_asked() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let all = probes(|_, family| addressing::shared(family), &Question::ALL);
        let explained = expect_agreement(&lab, prroute, &all)?;
        for (probe, explained) in all.iter().zip(&explained) {
            explained.expect("answered", None)?;
            let is_moved = &explained.way["leaves"]["moved"];
            ensure!(*is_moved == (probe.uplink() == 2), "{}", explained.text);
        }
        Ok(())
    })
}

#[test]
fn without_rules_the_program_keeps_own_sources() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_own_source(OwnSource::Datapath, |prroute| {
        let all = probes(addressing::host, &Question::ALL);
        expect_all(&lab, prroute, &all, ANSWERED)?;
        let ping = Explained::of(prroute, &to_own(2, Question::Ping, Family::V4))?;
        ensure!(ping.way["leaves"]["moved"] == true, "{}", ping.text);
        Ok(())
    })
}

#[test]
fn where_nobody_listens_it_says_so_and_where_somebody_would() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let closed = [Question::Tcp(81), Question::Udp(81)];
        let all = probes(addressing::host, &closed);
        // dig ends otherwise where it is refused.
        for probe in &all {
            Explained::of(prroute, probe)?.expect("refused", Some("listener"))?;
        }
        let tcp: Vec<_> = all.into_iter().filter(|it| it.question == closed[0]).collect();
        expect_agreement(&lab, prroute, &tcp)?;
        let one = addressing::host(2, Family::V4);
        let _service = prroute_tests::socket::listen(&lab.host, one, 7012)?;
        let asked = to_shared(2, Question::Tcp(7012), Family::V4);
        let explained = Explained::of(prroute, &asked)?;
        explained.expect("refused", Some("listener"))?;
        ensure!(explained.text.contains("only at 10.0.2.10:7012"), "{}", explained.text);
        Ok(())
    })
}

#[test]
fn pings_that_the_kernel_ignores_stop_there() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.sysctl(&["net.ipv4.icmp_echo_ignore_all=1"])?;
        let asked =
            [to_own(1, Question::Ping, Family::V4), to_shared(2, Question::Ping, Family::V4)];
        expect_all(&lab, prroute, &asked, ("dropped", Some("listener")))
    })
}

#[test]
fn without_an_uplink_each_has_a_line() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let words = ["explain", "tcp", "from", "198.51.100.11", "to", "203.0.113.1:80"];
        let text = prroute.output(&words)?.success()?;
        let begins: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        ensure!(begins == ["VIA", "up1", "up2"], "{text}");
        let json = prroute.output(&[&words[..], &["--json"]].concat())?.success()?;
        let report: Value = serde_json::from_str(&json)?;
        ensure!(report["ways"].as_array().is_some_and(|ways| ways.len() == 2), "{report:#}");
        let other = prroute.output(&[&words[..], &["iif", "up9"]].concat())?;
        ensure!(other.stderr.contains("there is no interface up9"), "{other:?}");
        let wrong = prroute.output(&["explain", "tcp", "from", "198.51.100.11"])?;
        ensure!(wrong.status.code() == Some(2), "{wrong:?}");
        ensure!(wrong.stderr.contains("expected `to LOCAL[:PORT]` at the end"), "{wrong:?}");
        Ok(())
    })
}

/// A rule of others sends what one user's programs answer elsewhere.
#[test]
fn a_service_is_asked_for_as_the_user_whose_socket_answers() -> Result<()> {
    const PORT: u16 = 8080;
    let lab = Lab::with_services(TWO)?;
    let words = "setpriv --reuid 1000 --clear-groups /usr/bin/python3 -m http.server --directory /usr/share";
    let mut words: Vec<&str> = words.split(' ').collect();
    let port = PORT.to_string();
    words.push(&port);
    let _server = lab.host.spawn(&words)?;
    wait::until("it listens", SOON, || {
        let listening = lab.host.run(&["ss", "-Htln", "sport", "=", &format!(":{port}")])?;
        Ok((!listening.is_empty()).then_some(()))
    })?;
    lab.with_own_source(OwnSource::Rules, |prroute| {
        let theirs = to_own(2, Question::Tcp(PORT), Family::V4);
        let others =
            [to_own(2, Question::Tcp(80), Family::V4), to_own(2, Question::Ping, Family::V4)];
        expect_all(&lab, prroute, &[theirs], ANSWERED)?;
        lab.host.ip("link add vpn type veth peer name vpn-end")?;
        lab.host.ip("link set vpn up")?;
        lab.host.ip("link set vpn-end up")?;
        lab.host.ip("route add default dev vpn table 777")?;
        lab.host.ip("rule add priority 20000 uidrange 1000-1000 lookup 777")?;
        let explained = expect_agreement(&lab, prroute, &[theirs])?;
        ensure!(explained[0].verdict() == "wrong-uplink", "{}", explained[0].text);
        ensure!(explained[0].text.contains("dev vpn"), "{}", explained[0].text);
        expect_all(&lab, prroute, &others, ANSWERED)
    })
}
