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

/// How long an answer may take: so long fping knows what it asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a stream's requests.
#[derive(Debug)]
pub struct Tally {
    pub sent: usize,
    /// The numbers of those that were not answered, from 0.
    pub missing: Vec<u32>,
}

/// fping: where ten milliseconds or less are between two requests, ping spins until the next one and takes all
/// of a processor.
#[derive(Debug)]
pub struct Stream {
    ping: Process,
}

impl Stream {
    /// Starts it, ten milliseconds between two requests, and waits until it is answered.
    pub fn start(namespace: &Namespace, source: IpAddr, target: IpAddr) -> Result<Self> {
        Self::every(namespace, source, target, Duration::from_millis(10))
    }

    /// Likewise, with this time between two requests.
    pub fn every(
        namespace: &Namespace,
        source: IpAddr,
        target: IpAddr,
        pause: Duration,
    ) -> Result<Self> {
        let option = Family::of(target).option();
        let (source, target) = (source.to_string(), target.to_string());
        let pause = pause.as_millis().to_string();
        let patience = PATIENCE.as_millis().to_string();
        // Without `-i` there are ten milliseconds between any two of its packets.
        let fping = ["fping", option, "--loop", "-i", "1", "-p", &pause, "-t", &patience];
        let ping = [&fping[..], &["-S", &source, &target]].concat();
        let mut stream = Self { ping: namespace.spawn(&ping)? };
        stream.is_answered()?;
        Ok(stream)
    }

    /// Waits for answers to what is sent from now on.
    pub fn is_answered(&mut self) -> Result<()> {
        const MORE: usize = 20;
        let before = answers(&self.ping.log()).len();
        wait::until("answers", DEADLINE, || {
            self.ping.check_running()?;
            Ok((answers(&self.ping.log()).len() >= before + MORE).then_some(()))
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
        let answers = answers(&self.ping.finished_log(DEADLINE)?);
        let answered: BTreeSet<u32> = answers.iter().copied().collect();
        ensure!(answered.len() == answers.len(), "{}: answered twice", self.ping.command());
        // What comes behind the last answer was on its way.
        let sent = answered.last().map_or(0, |last| last + 1);
        let missing = (0..sent).filter(|number| !answered.contains(number)).collect();
        Ok(Tally { sent: usize::try_from(sent).context("count requests")?, missing })
    }
}

/// The numbers of the requests that were answered, of lines like `192.0.2.1 : [7], 64 bytes, 0.2 ms (...)`.
fn answers(log: &str) -> Vec<u32> {
    let number = |line: &str| line.split_once(" : [")?.1.split_once("], ")?.0.parse().ok();
    log.lines().filter(|line| line.contains(" bytes, ")).filter_map(number).collect()
}
