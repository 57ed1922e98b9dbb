//! firewalld's reverse path filter for IPv6.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};

use crate::network::{TWO_UPLINKS, serve, silent};
use crate::service::{Service, systemctl};

const SETTINGS: &str = "/etc/firewalld/firewalld.conf";
const SHARED: Topology = Topology { shared: true, ..TWO_UPLINKS };

/// firewalld with Debian's settings, but for the zone: it lets everything in.
struct Firewall {
    original: String,
}

impl Firewall {
    fn start() -> Result<Self> {
        let original = fs::read_to_string(SETTINGS).with_context(|| format!("read {SETTINGS}"))?;
        let firewall = Self { original };
        firewall.write("IPv6_rpfilter=yes")?;
        systemctl(&["start", "firewalld.service"])?;
        Ok(firewall)
    }

    fn write(&self, filter: &str) -> Result<()> {
        let text: Vec<&str> = self
            .original
            .lines()
            .map(|line| match line {
                _ if line.starts_with("IPv6_rpfilter=") => filter,
                _ if line.starts_with("DefaultZone=") => "DefaultZone=trusted",
                _ => line,
            })
            .collect();
        ensure!(text.contains(&filter), "{SETTINGS} has no IPv6_rpfilter");
        fs::write(SETTINGS, text.join("\n")).with_context(|| format!("write {SETTINGS}"))
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        let stopped = systemctl(&["stop", "firewalld.service"]).and_then(|_| {
            fs::write(SETTINGS, &self.original).with_context(|| format!("write {SETTINGS}"))
        });
        if let Err(error) = stopped {
            eprintln!("{error:#}");
        }
    }
}

#[test]
fn its_filter_for_ipv6_is_named_and_the_remedy_helps() -> Result<()> {
    let shared = |_, family: Family| addressing::shared(family);
    let lab = Lab::around_this_machine(SHARED)?;
    let _echo = serve(&lab)?;
    let firewall = Firewall::start()?;
    let service = Service::start()?;
    let lost = silent(&lab, shared)?;
    println!("with the filter: {lost:?}");
    ensure!(!lost.is_empty(), "the filter drops nothing: there is nothing to warn of");
    let status = service.prroute(&["status"])?;
    assert!(status.stdout.contains("IPv6_rpfilter"), "{}", status.stdout);
    let check = service.prroute(&["check"])?;
    let said = check.stdout + &check.stderr;
    assert!(said.contains("IPv6_rpfilter"), "{said}");

    firewall.write("IPv6_rpfilter=no")?;
    systemctl(&["restart", "firewalld.service"])?;
    let lost = silent(&lab, shared)?;
    assert!(lost.is_empty(), "{lost:?}");
    Ok(())
}
