//! Killing and starting the daemon under load loses no reply and sends none elsewhere.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::stream::Stream;
use prroute_tests::wait;

const RESTARTS: u64 = 5;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);

/// At most so many replies between one start and the next kill.
const REPLIES: u64 = 2_000;

const PATIENCE: Duration = Duration::from_secs(60);

/// An address whose replies the datapath moves.
fn target(own_source: OwnSource, family: Family) -> IpAddr {
    match own_source {
        OwnSource::Rules => addressing::shared(family),
        OwnSource::Datapath => addressing::host(2, family),
    }
}

/// After how many replies each time the daemon is killed.
fn moments() -> Vec<u64> {
    let random = RandomState::new();
    (0..RESTARTS).map(|number| random.hash_one(number) % REPLIES).collect()
}

/// How many replies each router got.
fn arrived(lab: &Lab, target: IpAddr) -> Result<Vec<u64>> {
    let client = addressing::client(2, Family::of(target));
    lab.routers.iter().map(|router| router.arrived(target, client)).collect()
}

#[test]
fn kill_and_run_under_load_loses_nothing() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let mut daemon = prroute.run(&[])?;
        let targets = Family::BOTH.map(|family| target(own_source, family));
        // Over the second uplink.
        let stream = |target: IpAddr| {
            Stream::every(&lab.client, addressing::client(2, Family::of(target)), target, PAUSE)
        };
        let mut streams = targets.into_iter().map(stream).collect::<Result<Vec<_>>>()?;

        let moments = moments();
        for moment in &moments {
            for target in targets {
                let before = arrived(&lab, target)?;
                wait::until("replies", PATIENCE, || {
                    Ok((arrived(&lab, target)?[1] >= before[1] + moment).then_some(()))
                })?;
            }
            daemon.kill()?;
            daemon = prroute.run(&[])?;
            for stream in &mut streams {
                stream.is_answered()?;
            }
        }
        for (stream, target) in streams.into_iter().zip(targets) {
            let answered =
                stream.lost_nothing().with_context(|| format!("killed after {moments:?}"))?;
            let arrived = arrived(&lab, target)?;
            println!("{answered} requests to {target} were answered");
            ensure!(
                arrived[1] >= answered as u64 && arrived[0] == 0 && arrived[2] == 0,
                "replies per uplink: {arrived:?}, killed after {moments:?}"
            );
        }
        daemon.terminate()?;
        prroute.down()?;
        Ok(())
    })
}
