//! A device that is gone, and one that has its index.

use anyhow::{Context as _, Result};
use prroute_tests::capture::Capture;
use prroute_tests::own_source::in_both_modes;

use super::traffic::{PORT, connections, datagrams, expect_answered, expect_on, lab_with_echo};

/// Another device gets the index of a deleted uplink: nothing of the old flows leaves by it.
fn a_reused_index_inherits_nothing(with_daemon: bool) -> Result<()> {
    in_both_modes(|own_source| {
        let (lab, _echo) = lab_with_echo()?;
        lab.steer_both(2)?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let mut daemon = Some(prroute.run(&[])?);
        let mut connections = connections(&lab)?;
        let datagrams = datagrams(&lab)?;
        let links = lab.host.ip("-oneline link show dev up2")?;
        let index = links.split(':').next().context("an index")?.to_owned();
        if !with_daemon && let Some(daemon) = daemon.take() {
            daemon.kill()?;
        }
        lab.host.ip("link del up2")?;
        // A device of quite another kind of use, up, with carrier and an address.
        lab.host.ip(&format!("link add name other index {index} type veth peer name otherend"))?;
        lab.host.ip("link set other up")?;
        lab.host.ip("link set otherend up")?;
        lab.host.ip("address add 172.31.0.1/24 dev other")?;
        let capture = Capture::start(&lab.host, "other", "out", &format!("port {PORT}"))?;
        lab.steer_both(1)?;
        expect_on(&lab, &mut connections, 1)?;
        expect_answered(&datagrams).context("over uplink 1")?;
        assert_eq!(capture.stop()?, Vec::<String>::new(), "left by the device with the old index");
        if let Some(daemon) = daemon {
            daemon.terminate()?;
        }
        prroute.down()?;
        Ok(())
    })
}

#[test]
fn an_index_that_is_reused_inherits_nothing() -> Result<()> {
    a_reused_index_inherits_nothing(true)
}

/// Nobody follows the network: the kernel itself forgets the device.
#[test]
fn an_index_that_is_reused_without_daemon_inherits_nothing() -> Result<()> {
    a_reused_index_inherits_nothing(false)
}

/// Also without a daemon a device that is gone is found to be gone.
#[test]
fn a_vanished_device_does_not_swallow_datagrams() -> Result<()> {
    in_both_modes(|own_source| {
        let (lab, _echo) = lab_with_echo()?;
        lab.steer_both(2)?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        let datagrams = datagrams(&lab)?;
        daemon.kill()?;
        lab.host.ip("link del up2")?;
        lab.steer_both(1)?;
        expect_answered(&datagrams)?;
        prroute.down()?;
        Ok(())
    })
}
