//! What is the same after the machine was started again: `before` runs in the first boot, `after`
//! in the second one, of the same disk.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::wait;
use serde_json::Value;

use crate::network::TWO_UPLINKS;
use crate::service::{JOB, Service};

/// On the disk.
const REMEMBERED: &str = "/var/tmp/prroute-ids";

/// Where prroute remembers ids: the unit's StateDirectory.
const STATE: &str = "/var/lib/prroute";

const THREE_UPLINKS: Topology = Topology { uplinks: 3, ..TWO_UPLINKS };

/// Names and ids of the uplinks, in the order of their names.
fn ids(service: &Service) -> Result<Vec<String>> {
    let json = service.prroute(&["status", "--json"])?.success()?;
    let status: Value = serde_json::from_str(&json).context("parse the status")?;
    let uplinks = status["uplinks"].as_array().context("no uplinks")?;
    let mut ids: Vec<String> =
        uplinks.iter().map(|uplink| format!("{}={}", uplink["name"], uplink["id"])).collect();
    ids.sort();
    Ok(ids)
}

#[test]
fn before() -> Result<()> {
    let lab = Lab::around_this_machine(THREE_UPLINKS)?;
    // What the cases before this one left: this machine has never seen these devices.
    match fs::remove_dir_all(STATE) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {STATE}"));
        }
        _ => {}
    }
    lab.host.ip("address flush dev up1 scope global")?;
    // Its IPv6 default route goes with that.
    lab.host.ip("link set up1 down")?;
    let service = Service::start()?;
    // The first interface comes last.
    lab.host.ip("link set up1 up")?;
    for option in ["-4 address add 10.0.1.10/24", "-6 address add 2001:db8:1::a/64"] {
        lab.host.ip(&format!("{option} dev up1"))?;
    }
    lab.host.ip("route add default via 10.0.1.1 dev up1 metric 100")?;
    let ids = wait::until("three uplinks", JOB, || {
        let ids = ids(&service)?;
        Ok((ids.len() == 3).then_some(ids))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    assert!(ids.contains(&"\"up1\"=3".to_owned()), "{ids:?}");
    fs::write(REMEMBERED, ids.join("\n")).with_context(|| format!("write {REMEMBERED}"))?;
    // As when a machine is switched off: the daemon is stopped, and nothing is undone.
    service.leave()
}

#[test]
fn after() -> Result<()> {
    let _lab = Lab::around_this_machine(THREE_UPLINKS)?;
    let service = Service::start()?;
    let remembered =
        fs::read_to_string(REMEMBERED).with_context(|| format!("read {REMEMBERED}"))?;
    assert_eq!(ids(&service)?.join("\n"), remembered, "{}", service.journal(&[])?);
    Ok(())
}
