//! prroute on the hosts that have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::prroute::{self, Daemon, Instance};
use prroute_tests::scratch::Scratch;
use prroute_tests::wait;

use crate::host::{Host, Variant};

/// A running prroute; undone when dropped.
#[derive(Debug)]
pub(crate) struct Running<'h> {
    // Ends before what it started is undone.
    daemon: Option<Daemon>,
    instance: Instance<'h>,
}

impl<'h> Running<'h> {
    /// Starts prroute on `host`, when its variant has it, and waits until every gateway is known.
    /// `flows` is the size of its tables.
    pub(crate) fn start(host: &'h Host, scratch: &Scratch, flows: u32) -> Result<Option<Self>> {
        let Some(cgroup) = &host.cgroup else { return Ok(None) };
        let mut instance =
            Instance::new(&host.host, scratch, host.name())?.wrapped(cgroup.as_root()?);
        let reply = match host.variant {
            Variant::PrrouteLastHop => "reply = \"last-hop\"\n",
            _ => "",
        };
        let udp_source = host.variant != Variant::PrrouteWithoutSockets;
        let mut configuration = format!("flows = {flows}\nudp-source = {udp_source}\n");
        for number in [1, 2] {
            let [four, six] = Family::BOTH.map(|family| addressing::gateway(number, family));
            let name = addressing::device(number);
            configuration += &format!(
                "[[uplink]]\nname = \"{name}\"\ngateway = [\"{four}\", \"{six}\"]\n{reply}"
            );
        }
        instance.configure(&configuration)?;
        let daemon = instance.run(&[])?;
        let mut running = Self { daemon: Some(daemon), instance };
        wait::until_done("prroute knows every gateway", Duration::from_secs(30), || {
            running.knows_gateways()
        })?;
        if host.variant == Variant::PrrouteRulesAlone {
            running.detach_programs(host)?;
        }
        Ok(Some(running))
    }

    /// Leaves the rules and tables, without a daemon that would attach the programs again.
    fn detach_programs(&mut self, host: &Host) -> Result<()> {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill()?;
        }
        for pin in pins_below(&prroute::pins(self.instance.name()))? {
            let name = pin.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("link-") || name.starts_with("socket-") {
                fs::remove_file(&pin).with_context(|| format!("unpin {}", pin.display()))?;
            }
        }
        // The kernel detaches them a little later.
        wait::until_done("no program is attached", Duration::from_secs(10), || {
            let mut left = 0;
            for device in [1, 2].map(addressing::device) {
                for direction in [Direction::Ingress, Direction::Egress] {
                    left += bpf::tcx_programs(&host.host, &device, direction)?;
                }
            }
            Ok((left == 0).then_some(()))
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.instance.name()
    }

    fn knows_gateways(&self) -> Result<Option<()>> {
        let status = self.instance.status()?;
        let uplinks = status["uplinks"].as_array().context("the status has no uplinks")?;
        let usable = uplinks.iter().filter(|uplink| {
            ["gateway4_usable", "gateway6_usable"].iter().all(|key| uplink[key] == true)
        });
        Ok((usable.count() == 2).then_some(()))
    }
}

/// All pins of an instance, of whatever layout.
fn pins_below(instance: &Path) -> Result<Vec<PathBuf>> {
    let list = |directory: &Path| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory);
        let entries = entries.with_context(|| format!("list {}", directory.display()))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let layouts = list(instance)?;
    Ok(layouts.iter().map(|layout| list(layout)).collect::<Result<Vec<_>>>()?.concat())
}
