//! An uplink fails, in each way it can: connections to the shared address move with their
//! client's packets and come back, nothing is killed, and what must not leave elsewhere is held.

pub(crate) mod failure;
mod gone;
mod on_down;
mod others;
mod traffic;

use anyhow::{Context as _, Result};
use prroute_tests::own_source::in_both_modes;

use failure::Failure;
use traffic::{connections, datagrams, expect_answered, expect_on, lab_with_echo};

/// Connections over uplink 2 go on over uplink 1 when the client's packets arrive there, and
/// return.
fn moves_and_returns(failure: Failure, with_daemon: bool) -> Result<()> {
    in_both_modes(|own_source| {
        let (lab, _echo) = lab_with_echo()?;
        lab.steer_both(2)?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let mut daemon = Some(prroute.run(&[])?);
        let mut connections = connections(&lab)?;
        let datagrams = datagrams(&lab)?;
        expect_on(&lab, &mut connections, 2)?;
        if !with_daemon && let Some(daemon) = daemon.take() {
            daemon.kill()?;
        }
        failure.begin(&lab)?;
        lab.steer_both(1)?;
        expect_on(&lab, &mut connections, 1).context("while uplink 2 is down")?;
        // Without a daemon, datagrams have to wait for their `rebind-idle` of 30 s.
        if with_daemon {
            failure.wait_known(&prroute)?;
            expect_answered(&datagrams).context("while uplink 2 is down")?;
        }
        // Without a daemon a device that is made anew is not known.
        failure.end(&lab)?;
        if !with_daemon {
            daemon = Some(prroute.run(&[])?);
        }
        lab.steer_both(2)?;
        expect_on(&lab, &mut connections, 2).context("after uplink 2 came back")?;
        if let Some(daemon) = daemon {
            daemon.terminate()?;
        }
        prroute.down()?;
        Ok(())
    })
}

#[test]
fn admin_down() -> Result<()> {
    moves_and_returns(Failure::AdminDown, true)
}

#[test]
fn admin_down_without_daemon() -> Result<()> {
    moves_and_returns(Failure::AdminDown, false)
}

#[test]
fn carrier_lost() -> Result<()> {
    moves_and_returns(Failure::CarrierLost, true)
}

#[test]
fn carrier_lost_without_daemon() -> Result<()> {
    moves_and_returns(Failure::CarrierLost, false)
}

#[test]
fn device_deleted() -> Result<()> {
    moves_and_returns(Failure::Deleted, true)
}

#[test]
fn device_deleted_without_daemon() -> Result<()> {
    moves_and_returns(Failure::Deleted, false)
}

#[test]
fn gateway_silent() -> Result<()> {
    moves_and_returns(Failure::GatewaySilent, true)
}

#[test]
fn gateway_silent_without_daemon() -> Result<()> {
    moves_and_returns(Failure::GatewaySilent, false)
}
