//! What ends `prroute monitor`, and what does not.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::prroute::STOP;
use prroute_tests::{echo, socket, wait};

use super::{Monitor, lab, target};

/// A pipe that is closed ends it, and the programs are asked no more.
#[test]
fn a_closed_pipe_ends_it() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let mut command = prroute.command(&["monitor", "packet", "port", "7007"])?;
    let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
    drop(child.stdout.take().context("the pipe")?);
    let client = socket::udp(&lab.client, addressing::client(2, Family::V4), 0)?;
    let ended = wait::until("it has ended", STOP, || {
        client.send_to(&[0; 16], target(Family::V4))?;
        Ok(child.try_wait()?)
    });
    drop(child.kill());
    ended?;
    prroute.output(&["monitor", "flow", "for", "1ms"])?.success()?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// Who asks programs that are gone would wait for ever, and take silence for peace.
#[test]
fn programs_that_are_removed_end_it() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    let mut monitor = Monitor::start(&lab, &prroute, "removed", &["packet", "port", "7007"])?;
    prroute.down()?;
    let status = wait::until("it has ended", STOP, || Ok(monitor.child.try_wait()?))?;
    let said = monitor.said()?;
    ensure!(!status.success() && said.contains("the programs were removed"), "{status}: {said}");
    Ok(())
}

/// Another daemon loads the programs on the same maps, and writes the facts of uplinks anew.
#[test]
fn a_restart_of_the_daemon_does_not_end_it() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let monitor = Monitor::start(&lab, &prroute, "restarted", &["packet", "udp", "port", "7007"])?;
    daemon.terminate()?;
    let daemon = prroute.run(&[])?;
    lab.host.ip("link set up2 mtu 1400")?;
    let client = socket::udp(&lab.client, addressing::client(2, Family::V4), 0)?;
    wait::until("a packet is shown", STOP, || {
        ensure!(echo::udp_round(&client, target(Family::V4), 16)?, "no echo");
        Ok((!monitor.lines()?.is_empty()).then_some(()))
    })?;
    monitor.interrupt()?;
    daemon.terminate()?;
    prroute.down().map(drop)
}
