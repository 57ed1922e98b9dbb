//! An uplink that fails and works again, in every way it can.
//!
//! `PRROUTE_FLAPS` says how often.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe;
use prroute_tests::prroute::Running;

use super::holdings::{Holdings, expect_flat, memory};
use super::number_of;
use crate::failover::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(60);

/// In every so many flaps the daemon has followed before the link works again; the others are as fast as
/// links flap. Kinds come by tens, so that each of them is followed at times.
const FOLLOWED_EVERY: u64 = 7;

/// The link itself is another one after every tenth.
fn kind(number: u64) -> Failure {
    match number % 10 {
        0 => Failure::Deleted,
        1 | 4 | 7 => Failure::AdminDown,
        _ => Failure::CarrierLost,
    }
}

fn flap(lab: &Lab, prroute: &mut Running<'_, '_>, number: u64) -> Result<()> {
    let failure = kind(number);
    // A service manager reads what it is told; where nobody does, the daemon waits.
    prroute.daemon.said()?;
    let once = || {
        failure.begin(lab)?;
        if number.is_multiple_of(FOLLOWED_EVERY) {
            failure.wait_known(prroute)?;
        }
        failure.end(lab)
    };
    once().with_context(|| format!("flap {number}: {failure:?}"))
}

/// What helps to understand why something is not answered.
fn state_of(lab: &Lab, prroute: &Running<'_, '_>) -> String {
    let status = prroute.status_text(&["-d"]).unwrap_or_else(|error| error.to_string());
    let dumps = ["-s link show up2", "address show dev up2", "rule", "route show table all"];
    let dumps = dumps.map(|dump| lab.host.ip(dump).unwrap_or_else(|error| error.to_string()));
    format!("{status}\n{}", dumps.join("--\n"))
}

#[test]
fn five_hundred_link_flaps_leave_what_one_leaves() -> Result<()> {
    let wanted = number_of("PRROUTE_FLAPS", 500)?;
    let lab = Lab::with_services(Topology::DEFAULT)?;
    lab.with_prroute(|prroute| {
        // Of every kind, twice.
        let warm = 20.min(wanted);
        for number in 0..warm {
            flap(&lab, prroute, number)?;
        }
        lab.expect_answered_within(PATIENCE, &probe::to_everything(3))
            .with_context(|| state_of(&lab, prroute))?;
        let before = Holdings::of(&lab, &prroute.daemon.process)?;
        let memory_before = memory(&prroute.daemon.process)?;
        for number in warm..wanted {
            flap(&lab, prroute, number)?;
        }
        lab.expect_answered_within(PATIENCE, &probe::to_everything(3))
            .with_context(|| state_of(&lab, prroute))?;
        // A device that is deleted loses its programs with itself, and nobody took them.
        ensure!(!prroute.log().contains("put back"), "something was missing");
        before.expect_again(&lab, &prroute.daemon.process)?;
        println!("{wanted} flaps");
        expect_flat(&prroute.daemon.process, memory_before)
    })
}
