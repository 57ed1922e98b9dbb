//! Killing and starting the daemon under load loses no reply and sends none elsewhere.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::process::Process;
use prroute_tests::wait;

const SECONDS: u64 = 30;
const PER_SECOND: u64 = 500;
const RESTARTS: u64 = 5;

/// An address whose replies the datapath moves.
fn target(own_source: OwnSource, family: Family) -> IpAddr {
    match own_source {
        OwnSource::Rules => addressing::shared(family),
        OwnSource::Datapath => addressing::host(2, family),
    }
}

/// A flood over the second uplink.
fn ping(lab: &Lab, target: IpAddr) -> Result<Process> {
    let family = Family::of(target);
    lab.client.spawn(&[
        "ping",
        family.option(),
        "-n",
        "-q",
        "-i",
        "0.002",
        "-c",
        &(SECONDS * PER_SECOND).to_string(),
        "-I",
        &addressing::client(2, family).to_string(),
        &target.to_string(),
    ])
}

/// One moment in each fifth of the time, in seconds from the start.
fn moments() -> Vec<f64> {
    let slice = (SECONDS - 2) as f64 / RESTARTS as f64;
    let random = RandomState::new();
    let fraction = |i: u64| (random.hash_one(i) >> 11) as f64 / (1u64 << 53) as f64;
    (0..RESTARTS).map(|i| 1.0 + slice * (i as f64 + fraction(i))).collect()
}

#[test]
fn kill_and_run_under_load_loses_nothing() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let mut daemon = prroute.run(&[])?;

        let moments = moments();
        let start = Instant::now();
        let mut pings = Family::BOTH
            .map(|family| ping(&lab, target(own_source, family)))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        for moment in &moments {
            let due = start + Duration::from_secs_f64(*moment);
            wait::until("the moment", Duration::from_secs(SECONDS), || {
                Ok((Instant::now() >= due).then_some(()))
            })?;
            daemon.kill()?;
            daemon = prroute.run(&[])?;
        }
        let sent = SECONDS * PER_SECOND;
        for ping in &mut pings {
            ping.check_running().context("the flood ended before the last restart")?;
        }
        for (ping, family) in pings.iter_mut().zip(Family::BOTH) {
            ping.wait_end(Duration::from_secs(2 * SECONDS))?;
            let log = ping.finished_log(Duration::from_secs(5))?;
            let all = format!("{sent} packets transmitted, {sent} received,");
            assert!(log.contains(&all), "restarts at {moments:?} s: {log}");
            let (target, client) = (target(own_source, family), addressing::client(2, family));
            let arrived: Vec<u64> = lab
                .routers
                .iter()
                .map(|router| router.arrived(target, client))
                .collect::<Result<_>>()?;
            assert_eq!(arrived, [0, sent, 0], "replies per uplink, restarts at {moments:?} s");
        }
        daemon.terminate()?;
        prroute.down()?;
        Ok(())
    })
}
