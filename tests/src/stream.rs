//! A stream of echo requests, of which nothing may be lost.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::addressing::Family;
use crate::netns::Namespace;
use crate::process::Process;
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(60);

/// What became of a stream's requests.
#[derive(Debug)]
pub struct Tally {
    pub sent: usize,
    /// The numbers of those that were not answered, from 1.
    pub missing: Vec<u32>,
}

/// ping, ten milliseconds between two requests unless told otherwise.
#[derive(Debug)]
pub struct Stream {
    ping: Process,
}

impl Stream {
    /// Starts it, and waits until it is answered.
    pub fn start(namespace: &Namespace, source: IpAddr, target: IpAddr) -> Result<Self> {
        Self::every(namespace, source, target, "0.01")
    }

    /// Likewise, with so many seconds between two requests.
    pub fn every(
        namespace: &Namespace,
        source: IpAddr,
        target: IpAddr,
        seconds: &str,
    ) -> Result<Self> {
        let (source, target) = (source.to_string(), target.to_string());
        let option = Family::of(target.parse().context("an address")?).option();
        let ping = ["ping", option, "-n", "-i", seconds, "-I", &source, &target];
        let mut stream = Self { ping: namespace.spawn(&ping)? };
        stream.is_answered()?;
        Ok(stream)
    }

    /// Waits for answers to what is sent from now on.
    pub fn is_answered(&mut self) -> Result<()> {
        const MORE: usize = 20;
        let before = answered(&self.ping.log()).len();
        wait::until("answers", DEADLINE, || {
            self.ping.check_running()?;
            Ok((answered(&self.ping.log()).len() >= before + MORE).then_some(()))
        })
        .with_context(|| format!("{}:\n{}", self.ping.command(), self.ping.log()))
    }

    /// Ends it while it is answered; fails when a request was not, or was more than once. How
    /// many there were.
    pub fn lost_nothing(self) -> Result<usize> {
        let command = self.ping.command().to_owned();
        let Tally { sent, missing } = self.tally()?;
        ensure!(missing.is_empty(), "{command}: no answer to {missing:?} of {sent}");
        Ok(sent)
    }

    /// Ends it while it is answered; fails when a request was answered more than once.
    pub fn tally(mut self) -> Result<Tally> {
        self.is_answered()?;
        self.ping.stop(Signal::SIGINT, DEADLINE)?;
        let log = self.ping.finished_log(DEADLINE)?;
        ensure!(!log.contains("(DUP!)"), "{}: answered twice", self.ping.command());
        let answered = answered(&log);
        // What comes behind the last answer was on its way.
        let last = answered.last().copied().unwrap_or_default();
        let missing = (1..=last).filter(|number| !answered.contains(number)).collect();
        Ok(Tally { sent: usize::try_from(last).context("count requests")?, missing })
    }
}

/// The numbers of the requests that were answered.
fn answered(log: &str) -> BTreeSet<u32> {
    log.lines()
        .filter(|line| line.contains(" bytes from "))
        .filter_map(|line| line.split_once("icmp_seq=")?.1.split_whitespace().next()?.parse().ok())
        .collect()
}
