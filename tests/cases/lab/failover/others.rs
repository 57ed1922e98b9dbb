//! The uplink that main prefers fails: what has another uplink's own address, or a shared one, goes on.

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::probe::{self, Question};

use super::failure::Failure;
use super::traffic::impatient_lab;

/// Requests to every address over uplinks 1 and 3, and the host's own from their addresses.
fn others_go_on(failure: Failure) -> Result<()> {
    in_both_modes(|own_source| {
        let mut lab = impatient_lab()?;
        lab.start_services()?;
        for family in Family::BOTH {
            let (option, gateway) = (family.option(), addressing::gateway(2, family));
            lab.host.ip(&format!("{option} route add default via {gateway} dev up2 metric 50"))?;
        }
        lab.with_own_source(own_source, |prroute| {
            let mut probes = probe::to_everything(3);
            probe::expect_all_answered(&lab.ask(&probes)?).context("before")?;
            failure.begin(&lab)?;
            failure.wait_known(prroute)?;
            probes.retain(|probe| probe.uplink() != 2);
            let mut own = probe::to_own_addresses(3, &Question::ALL);
            own.retain(|probe| probe.uplink() != 2);
            probe::expect_all_answered(&lab.ask(&own)?)
                .with_context(|| format!("{failure:?}, as soon as it is known"))?;
            failure.wait_forgotten(&lab)?;
            for round in 1..=3 {
                probe::expect_all_answered(&lab.ask(&probes)?)
                    .with_context(|| format!("{failure:?}, round {round}"))?;
            }
            for family in Family::BOTH {
                for n in [1, 3] {
                    let (source, target) =
                        (addressing::host(n, family), addressing::client(n, family));
                    let (from, to) = (source.to_string(), target.to_string());
                    let ping =
                        ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "8", "-I", &from];
                    lab.host
                        .run(&[&ping[..], &[&to]].concat())
                        .with_context(|| format!("{failure:?}"))?;
                }
            }
            Ok(())
        })
    })
}

#[test]
fn others_go_on_beside_admin_down() -> Result<()> {
    others_go_on(Failure::AdminDown)
}

#[test]
fn others_go_on_beside_carrier_lost() -> Result<()> {
    others_go_on(Failure::CarrierLost)
}

#[test]
fn others_go_on_beside_device_deleted() -> Result<()> {
    others_go_on(Failure::Deleted)
}

#[test]
fn others_go_on_beside_gateway_silent() -> Result<()> {
    others_go_on(Failure::GatewaySilent)
}
