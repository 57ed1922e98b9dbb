//! Situations that nobody has thought of: rules, routes, filters and settings by chance, and what `explain`
//! foretells of each against what a probe then meets.
//!
//! `PRROUTE_SITUATIONS` says how many requests are explained and asked; `PRROUTE_SEED` repeats a run, as
//! `cargo xtask test` does each time.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe::{Outcome, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::services;

use super::Explained;

const PUBLISHED: u16 = 8080;
const UPLINKS: u8 = 3;
/// Requests of one situation, and situations of one lab.
const REQUESTS: usize = 6;
const SITUATIONS: usize = 5;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn what_is_explained_is_what_happens() -> Result<()> {
    let seed = number_of("PRROUTE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let wanted = number_of("PRROUTE_SITUATIONS").unwrap_or(12);
    let mut rng = Rng::with_seed(seed);
    let (mut explained, mut answered) = (0, 0);
    while explained < wanted {
        let outcomes = in_a_lab(&mut rng).with_context(|| format!("PRROUTE_SEED={seed}"))?;
        explained += u64::try_from(outcomes.len())?;
        answered += outcomes.iter().filter(|answered| **answered).count();
    }
    println!("PRROUTE_SEED={seed}: {answered} of {explained} are answered");
    Ok(())
}

/// For each request whether it is answered.
fn in_a_lab(rng: &mut Rng) -> Result<Vec<bool>> {
    let topology = Topology { uplinks: UPLINKS, ip_forward: rng.u8(..4) > 0, ..Topology::DEFAULT };
    let mut lab = Lab::with_services(topology)?;
    let pods = lab.pods(1)?;
    let nginx = services::nginx(&pods[0], &lab.scratch, 80)?;
    lab.keep_running(nginx);
    lab.meet_default_gateway()?;
    let own_source = if rng.u8(..3) == 0 { OwnSource::Datapath } else { OwnSource::Rules };
    let prroute = lab.prroute()?.own_source(own_source)?;
    let prroute = prroute.configured("rp-filter = \"leave\"\n")?;
    let mut outcomes = Vec::new();
    prroute.while_running(|prroute| {
        for _ in 0..SITUATIONS {
            outcomes.extend(situation(&lab, prroute, rng)?);
        }
        Ok(())
    })?;
    Ok(outcomes)
}

/// One lab with rules of its own, and some requests.
fn situation(lab: &Lab, prroute: &Instance<'_>, rng: &mut Rng) -> Result<Vec<bool>> {
    let ruleset = ruleset(rng);
    lab.host.nft(&ruleset)?;
    let mut told = ruleset;
    for number in 1..=UPLINKS {
        let value = [0, 0, 2, 1][rng.usize(..4)];
        let setting = format!("net.ipv4.conf.up{number}.rp_filter={value}");
        lab.host.sysctl(&[&setting])?;
        told += &format!("{setting}\n");
    }
    let ignores = u8::from(rng.u8(..8) == 0);
    let setting = format!("net.ipv4.icmp_echo_ignore_all={ignores}");
    lab.host.sysctl(&[&setting])?;
    told += &setting;
    let probes: Vec<Probe> = (0..REQUESTS).map(|_| request(rng)).collect();
    let explained =
        probes.iter().map(|probe| Explained::of(prroute, probe)).collect::<Result<Vec<_>>>()?;
    let outcomes = lab.ask(&probes)?;
    for (explained, outcome) in explained.iter().zip(&outcomes) {
        ensure!(
            explained.verdict() != "unknown"
                && (explained.verdict() == "answered") == outcome.answered(),
            "explained as {}, but {outcome}\n{}\n{told}",
            explained.verdict(),
            explained.text
        );
    }
    Ok(outcomes.iter().map(Outcome::answered).collect())
}

fn request(rng: &mut Rng) -> Probe {
    let number = rng.u8(1..=UPLINKS);
    let family = Family::BOTH[rng.usize(..2)];
    let questions = [
        Question::Tcp(80),
        Question::Udp(53),
        Question::Ping,
        Question::Tcp(PUBLISHED),
        // Nobody listens there.
        Question::Tcp(81),
    ];
    let question = questions[rng.usize(..questions.len())];
    let target: IpAddr = match rng.bool() {
        true => addressing::shared(family),
        false => addressing::host(number, family),
    };
    Probe { question, source: addressing::client(number, family), target }
}

/// Rules by interface, address, port and state, in chains that ask each other.
fn ruleset(rng: &mut Rng) -> String {
    let rules = |rng: &mut Rng, direction: &str| {
        let count = rng.usize(..4);
        (0..count).map(|_| rule(rng, direction)).collect::<String>()
    };
    let (input, other, output, forward) = (
        rules(rng, "iifname"),
        rules(rng, "iifname"),
        rules(rng, "oifname"),
        rules(rng, "oifname"),
    );
    let publish = match rng.bool() {
        true => {
            let pod = Family::BOTH.map(|family| addressing::pod(1, family));
            format!(
                "tcp dport {PUBLISHED} meta nfproto ipv4 dnat ip to {}:80
                 tcp dport {PUBLISHED} meta nfproto ipv6 dnat ip6 to [{}]:80",
                pod[0], pod[1]
            )
        }
        false => String::new(),
    };
    format!(
        "table inet chance {{}}
        delete table inet chance
        table inet chance {{
            chain other {{
                {other}
            }}
            chain input {{
                type filter hook input priority filter;
                meta l4proto ipv6-icmp icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
                {input}
                tcp dport {{ 80, 81 }} jump other
            }}
            chain output {{
                type filter hook output priority filter;
                meta l4proto ipv6-icmp icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
                {output}
            }}
            chain forward {{
                type filter hook forward priority filter;
                {forward}
            }}
            chain pre {{
                type nat hook prerouting priority dstnat;
                {publish}
            }}
        }}\n"
    )
}

fn rule(rng: &mut Rng, direction: &str) -> String {
    let number = rng.u8(1..=UPLINKS);
    let conditions = [
        String::new(),
        format!("{direction} up{number}"),
        format!("{direction} \"up*\""),
        format!("{direction} != up{number}"),
        format!("{direction} {{ lo, up{number} }}"),
    ];
    let (destination, source) =
        if direction == "iifname" { ("daddr", "dport") } else { ("saddr", "sport") };
    let more = [
        String::new(),
        format!("ip {destination} {}", addressing::shared(Family::V4)),
        format!("ip {destination} 10.0.0.0/{}", rng.u8(8..=24)),
        format!("ip6 {destination} {}", addressing::shared(Family::V6)),
        format!("tcp {source} 80"),
        format!("udp {source} 50-60"),
        "meta l4proto icmp".to_owned(),
        "ct state new".to_owned(),
        "ct state established,related".to_owned(),
    ];
    let verdicts = ["drop", "drop", "accept", "return", "counter"];
    let condition = &conditions[rng.usize(..conditions.len())];
    let more = &more[rng.usize(..more.len())];
    let verdict = verdicts[rng.usize(..verdicts.len())];
    format!("{condition} {more} {verdict}\n")
}
