//! The unit under systemd.

use anyhow::Result;
use prroute_tests::lab::{Lab, Topology};

use crate::service::{Service, property};

const TOPOLOGY: Topology = Topology { uplinks: 2, shared: false, ..Topology::DEFAULT };

#[test]
fn it_starts_and_says_what_it_does() -> Result<()> {
    let _lab = Lab::around_this_machine(TOPOLOGY)?;
    let service = Service::start()?;
    assert_eq!(property("ActiveState")?, "active");
    assert_eq!(property("StatusText")?, "managing 2 uplinks: up1, up2");
    let status = service.prroute(&["status"])?.success()?;
    assert!(status.contains("managing 2 uplinks"), "{status}");
    Ok(())
}
