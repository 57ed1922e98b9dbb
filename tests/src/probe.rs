//! Questions that a client asks with real programs: curl, dig and ping.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::addressing::{self, Family};
use crate::netns::Namespace;
use crate::services::{DNS_ADDRESS, DNS_NAME};
use crate::wait;

/// Time without an answer after which a probe counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// A program that ends so much later than it was told to was kept from running, as on a machine that stands
/// still for a while: that it heard nothing says nothing.
const LATE: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// An HTTP request to this port.
    Tcp(u16),
    /// A DNS query to this port.
    Udp(u16),
    /// One ICMP echo request.
    Ping,
}

impl Question {
    /// The three questions that the host's own services answer.
    pub const ALL: [Self; 3] = [Self::Tcp(80), Self::Udp(53), Self::Ping];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP",
            Self::Udp(_) => "UDP",
            Self::Ping => "ping",
        }
    }
}

/// A question from one address to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub question: Question,
    pub source: IpAddr,
    pub target: IpAddr,
}

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Answered,
    /// Nothing came back; with what the program said.
    Silence(String),
}

/// A probe and what became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub probe: Probe,
    pub answer: Answer,
    /// The command that asked, to be run again by hand.
    pub command: String,
}

impl Outcome {
    pub fn answered(&self) -> bool {
        self.answer == Answer::Answered
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probe = self.probe;
        let state = if self.answered() { "answered" } else { "SILENCE" };
        write!(f, "{state} {:4} {} -> {}: ", probe.question.name(), probe.source, probe.target)?;
        f.write_str(&self.command)?;
        match &self.answer {
            Answer::Silence(said) if !said.is_empty() => write!(f, " ({said})"),
            _ => Ok(()),
        }
    }
}

impl Probe {
    /// The uplink that the client's source address makes it come in on, 0 for none.
    pub fn uplink(&self) -> u8 {
        let family = Family::of(self.source);
        (1..=9).find(|&n| self.source == addressing::client(n, family)).unwrap_or_default()
    }

    /// Asks from inside `namespace`. An error means that the question could not be put.
    pub fn ask(&self, namespace: &Namespace) -> Result<Outcome> {
        let mut attempts = 1;
        loop {
            let (begun, patience) = (Instant::now(), wait::whole_seconds(PATIENCE));
            let outcome = self.ask_once(namespace, patience)?;
            let was_kept = begun.elapsed() > Duration::from_secs(patience) + LATE;
            if outcome.answered() || !was_kept || attempts == ATTEMPTS {
                return Ok(outcome);
            }
            attempts += 1;
        }
    }

    fn ask_once(&self, namespace: &Namespace, patience: u64) -> Result<Outcome> {
        let source = self.source.to_string();
        let target = self.target.to_string();
        let family = Family::of(self.target).option();
        let patience = patience.to_string();
        let output = match self.question {
            Question::Tcp(port) => {
                let url = format!("http://{}/", SocketAddr::new(self.target, port));
                let fail = ["curl", "-sS", "-o", "/dev/null", "--noproxy", "*", "-f"];
                let ask = ["-m", &patience, "--interface", &source, &url];
                namespace.output(&[&fail[..], &ask].concat())?
            }
            Question::Udp(port) => {
                let time = format!("+time={patience}");
                let at = format!("@{target}");
                let port = port.to_string();
                let options = ["dig", family, "+short", "+tries=1", &time, "-b", &source];
                namespace.output(&[&options[..], &["-p", &port, &at, DNS_NAME, "A"]].concat())?
            }
            Question::Ping => {
                let options = ["ping", family, "-n", "-q", "-c", "1", "-W", &patience];
                namespace.output(&[&options[..], &["-I", &source, &target]].concat())?
            }
        };
        let said = [output.stdout.trim(), output.stderr.trim()].join(" ").trim().to_owned();
        let answered = match (self.question, output.status.code()) {
            (Question::Udp(_), Some(0)) if output.stdout.trim() == DNS_ADDRESS => true,
            (Question::Tcp(_) | Question::Ping, Some(0)) => true,
            // curl: refused or unreachable, timed out, nothing or an error received.
            (Question::Tcp(_), Some(7 | 28 | 52 | 56)) => false,
            // dig: no reply from the server.
            (Question::Udp(_), Some(9)) => false,
            // ping: no reply.
            (Question::Ping, Some(1)) => false,
            (_, code) => bail!("{} (exit code {code:?}): {said}", output.command),
        };
        let said = said.lines().last().unwrap_or_default().trim().to_owned();
        let answer = if answered { Answer::Answered } else { Answer::Silence(said) };
        Ok(Outcome { probe: *self, answer, command: output.command })
    }
}

/// Asks many questions at once, `ask_all(..)[i]` for `probes[i]`: silence takes its time.
pub fn ask_all(namespace: &Namespace, probes: &[Probe]) -> Result<Vec<Outcome>> {
    /// More at once would make a small machine late, not the lab faster.
    const AT_ONCE: usize = 12;
    let mut outcomes = Vec::with_capacity(probes.len());
    for some in probes.chunks(AT_ONCE) {
        let asked: Vec<Result<Outcome>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                some.iter().map(|probe| scope.spawn(|| probe.ask(namespace))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Outcome>>| {
                thread.join().unwrap_or_else(|_| bail!("a probe panicked"))
            };
            threads.into_iter().map(join).collect()
        });
        for outcome in asked {
            outcomes.push(outcome.context("ask")?);
        }
    }
    Ok(outcomes)
}

/// Every question to the own address of each uplink, through its router.
pub fn to_own_addresses(uplinks: u8, questions: &[Question]) -> Vec<Probe> {
    to_each(uplinks, questions, addressing::host)
}

/// Every question to the shared address, once through each router.
pub fn to_shared_address(uplinks: u8, questions: &[Question]) -> Vec<Probe> {
    to_each(uplinks, questions, |_, family| addressing::shared(family))
}

/// Every question that the host's own services answer, to each own address and to the shared
/// one over every uplink.
pub fn to_everything(uplinks: u8) -> Vec<Probe> {
    let mut probes = to_own_addresses(uplinks, &Question::ALL);
    probes.extend(to_shared_address(uplinks, &Question::ALL));
    probes
}

/// One line per outcome.
pub fn listing(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(|outcome| format!("{outcome}\n")).collect()
}

/// An error that shows the silent ones unless each probe was answered.
pub fn expect_all_answered(outcomes: &[Outcome]) -> Result<()> {
    expect_answered(outcomes, |_| true)
}

/// An error that shows the others unless exactly those were answered that should be.
pub fn expect_answered(outcomes: &[Outcome], should: impl Fn(&Probe) -> bool) -> Result<()> {
    let wrong: Vec<Outcome> =
        outcomes.iter().filter(|o| o.answered() != should(&o.probe)).cloned().collect();
    ensure!(!outcomes.is_empty(), "nothing was asked");
    ensure!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        outcomes.len(),
        listing(&wrong)
    );
    Ok(())
}

fn to_each(
    uplinks: u8,
    questions: &[Question],
    target: impl Fn(u8, Family) -> IpAddr,
) -> Vec<Probe> {
    let mut probes = Vec::new();
    for number in 1..=uplinks {
        for family in Family::BOTH {
            for &question in questions {
                let source = addressing::client(number, family);
                probes.push(Probe { question, source, target: target(number, family) });
            }
        }
    }
    probes
}
