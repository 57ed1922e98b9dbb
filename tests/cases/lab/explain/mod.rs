//! `prroute explain` against what real packets then do: its verdict is that of a probe, and it stops at the
//! step that has the cause.

mod containers;
mod faults;
mod filters;
mod flows;
mod links;
mod misfits;
mod own;
mod random;
mod without;

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command::Output;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{Probe, Question};
use prroute_tests::prroute::Instance;
use serde_json::Value;

const TWO: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// What `explain` said about one uplink.
#[derive(Debug)]
struct Explained {
    code: Option<i32>,
    /// Its steps.
    text: String,
    way: Value,
}

impl Explained {
    fn by(prroute: &Instance<'_>, words: &str) -> Result<Self> {
        let words: Vec<&str> = words.split(' ').collect();
        let Output { stdout, stderr, status, .. } =
            prroute.output(&[&["explain"], words.as_slice(), &["--json"]].concat())?;
        let report: Value =
            serde_json::from_str(&stdout).with_context(|| format!("{stdout}{stderr}"))?;
        ensure!(report["schema"] == "prroute.explain/1", "{report:#}");
        let way = report["ways"][0].clone();
        let line = |step: &Value| {
            let word = |name: &str| step[name].as_str().unwrap_or_default();
            format!("{} {} {}: {}\n", step["n"], word("stage"), word("result"), word("detail"))
        };
        let steps = way["steps"].as_array().context("no steps")?;
        let text = steps.iter().map(line).collect::<String>();
        Ok(Self { code: status.code(), text: format!("{text}{}\n", way["cause"]), way })
    }

    /// Of a request of the client over router `number`, that comes in by its uplink.
    fn of(prroute: &Instance<'_>, probe: &Probe) -> Result<Self> {
        let number = probe.uplink();
        let (source, target) = (probe.source, probe.target);
        let words = match probe.question {
            Question::Tcp(port) => {
                format!("tcp from {source} to {} iif up{number}", SocketAddr::new(target, port))
            }
            Question::Udp(port) => {
                format!("udp from {source} to {} iif up{number}", SocketAddr::new(target, port))
            }
            Question::Ping => format!("icmp from {source} to {target} iif up{number}"),
        };
        Self::by(prroute, &words)
    }

    fn verdict(&self) -> &str {
        self.way["verdict"].as_str().unwrap_or_default()
    }

    /// The name of the step where the way ends.
    fn stops_at(&self) -> Option<&str> {
        let number = self.way["stops_at"].as_u64()?;
        let step = self.way["steps"].get(usize::try_from(number).ok()? - 1)?;
        step["stage"].as_str()
    }

    fn expect(&self, verdict: &str, stage: Option<&str>) -> Result<()> {
        ensure!(
            (self.verdict(), self.stops_at()) == (verdict, stage),
            "not {verdict} at {stage:?}: {self:#?}\n{}",
            self.text
        );
        let code = match verdict {
            "answered" => 0,
            "unknown" => 5,
            _ => 1,
        };
        ensure!(self.code == Some(code), "not {code}: {self:#?}");
        Ok(())
    }
}

/// One that TCP, UDP and ICMP have: of each family, by each of two uplinks.
fn probes(target: impl Fn(u8, Family) -> std::net::IpAddr, questions: &[Question]) -> Vec<Probe> {
    let mut all = Vec::new();
    for number in 1..=2 {
        for family in Family::BOTH {
            for &question in questions {
                let source = addressing::client(number, family);
                all.push(Probe { question, source, target: target(number, family) });
            }
        }
    }
    all
}

/// Explains each, then asks it: an answer comes where one was foretold, and nowhere else.
fn expect_agreement(lab: &Lab, prroute: &Instance<'_>, probes: &[Probe]) -> Result<Vec<Explained>> {
    let explained =
        probes.iter().map(|probe| Explained::of(prroute, probe)).collect::<Result<Vec<_>>>()?;
    for (explained, outcome) in explained.iter().zip(lab.ask(probes)?) {
        let is_answered = explained.verdict() == "answered";
        ensure!(
            explained.verdict() != "unknown" && is_answered == outcome.answered(),
            "explained as {}, but {outcome}\n{}",
            explained.verdict(),
            explained.text
        );
    }
    Ok(explained)
}

/// Likewise, each with the verdict and the step.
fn expect_all(
    lab: &Lab,
    prroute: &Instance<'_>,
    probes: &[Probe],
    (verdict, stage): (&str, Option<&str>),
) -> Result<()> {
    for explained in expect_agreement(lab, prroute, probes)? {
        explained.expect(verdict, stage)?;
    }
    Ok(())
}

fn to_shared(number: u8, question: Question, family: Family) -> Probe {
    let source = addressing::client(number, family);
    Probe { question, source, target: addressing::shared(family) }
}

fn to_own(number: u8, question: Question, family: Family) -> Probe {
    let source = addressing::client(number, family);
    Probe { question, source, target: addressing::host(number, family) }
}
