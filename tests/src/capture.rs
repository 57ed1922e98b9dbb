//! tcpdump on one device: which packets really were there.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::netns::Namespace;
use crate::process::Process;
use crate::wait;

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
}

const DEADLINE: Duration = Duration::from_secs(60);

impl Capture {
    /// Captures what `filter` (pcap-filter(7)) matches on `device`, one line per packet, and
    /// waits until the capture is active. `direction` is `in`, `out` or `inout`.
    pub fn start(
        namespace: &Namespace,
        device: &str,
        direction: &str,
        filter: &str,
    ) -> Result<Self> {
        let mut tcpdump = namespace.spawn(&[
            "tcpdump",
            "-i",
            device,
            "-Q",
            direction,
            "-nnle",
            "--immediate-mode",
            // Room for every packet of half a minute: a lost one would prove nothing.
            "-B",
            "16384",
            filter,
        ])?;
        tcpdump.wait_log("tcpdump listens", DEADLINE, |log| {
            log.contains("listening on").then_some(())
        })?;
        Ok(Self { tcpdump })
    }

    /// Waits until so many packets were seen; those that do not come are found by
    /// [`Capture::stop`].
    pub fn wait_for(&self, packets: usize, deadline: Duration) -> Result<bool> {
        let seen = wait::until("packets", deadline, || {
            wait::check_interrupted()?;
            Ok((packet_lines(&self.tcpdump.log()).count() >= packets).then_some(()))
        });
        wait::check_interrupted()?;
        Ok(seen.is_ok())
    }

    /// A packet in its ring wakes it at once: asleep, it has read them all.
    fn is_waiting(&self) -> Result<Option<()>> {
        let path = format!("/proc/{}/stat", self.tcpdump.pid());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        Ok((state == Some('S')).then_some(()))
    }

    /// Stops and returns one line per packet. A packet that the kernel dropped is an error.
    pub fn stop(mut self) -> Result<Vec<String>> {
        wait::until_done("tcpdump has read every packet", DEADLINE, || self.is_waiting())?;
        self.tcpdump.stop(Signal::SIGINT, DEADLINE)?;
        let log = self.tcpdump.finished_log(DEADLINE)?;
        let lost = log.lines().find_map(|line| line.strip_suffix(" packets dropped by kernel"));
        let lost = lost.with_context(|| format!("tcpdump ended without its summary:\n{log}"))?;
        anyhow::ensure!(lost == "0", "tcpdump lost {lost} packets");
        Ok(packet_lines(&log).map(str::to_owned).collect())
    }
}

/// They begin with the time.
fn packet_lines(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.as_bytes().get(2) == Some(&b':'))
}
