//! What a unit that is started after prroute may rely on.

use std::fs;

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;

use crate::network::TWO_UPLINKS;
use crate::service::{Service, property, systemctl};

const AFTER: &str = "/run/systemd/system/after-prroute.service";
const SEEN: &str = "/run/after-prroute";

/// Emulated, loading the programs takes longer: prroute has to ask for more.
const TIMEOUT: &str = "[Service]\nTimeoutStartSec=5\n";
const DROP_IN: &str = "/run/systemd/system/prroute.service.d";

#[test]
fn what_exists_is_managed_when_the_next_unit_starts() -> Result<()> {
    let _lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let unit = format!(
        "[Unit]\nRequires=prroute.service\nAfter=prroute.service\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh -c '{{ ip rule show; ip -6 rule show; find /sys/fs/bpf/prroute; }} > {SEEN}'\n"
    );
    fs::write(AFTER, unit).with_context(|| format!("write {AFTER}"))?;
    fs::create_dir_all(DROP_IN).with_context(|| format!("create {DROP_IN}"))?;
    fs::write(format!("{DROP_IN}/timeout.conf"), TIMEOUT).context("write the drop-in")?;
    let service = Service::install()?;
    let started = systemctl(&["start", "after-prroute.service"]);
    fs::remove_file(AFTER).with_context(|| format!("remove {AFTER}"))?;
    fs::remove_dir_all(DROP_IN).with_context(|| format!("remove {DROP_IN}"))?;
    started.with_context(|| service.journal(&[]).unwrap_or_default())?;
    let seen = fs::read_to_string(SEEN).with_context(|| format!("read {SEEN}"))?;
    for part in ["10.0.1.0/24", "10.0.2.0/24", "2001:db8:1::/64", "2001:db8:2::/64", "default"] {
        assert!(seen.contains(part), "no {part} in\n{seen}");
    }
    assert_eq!(property("NRestarts")?, "0", "{}", service.journal(&[])?);
    Ok(())
}
