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

use crate::contestants::Prroute;
use crate::host::Host;
use crate::options::Options;

/// A running prroute; undone when dropped.
#[derive(Debug)]
pub(crate) struct Running<'h> {
    // Ends before what it started is undone.
    daemon: Option<Daemon>,
    instance: Instance<'h>,
}

impl<'h> Running<'h> {
    /// Starts prroute on a host that has room for its sockets, and waits until every gateway is
    /// known. `flows` is the size of its tables, where it is not left to prroute.
    pub(crate) fn start(
        host: &'h Host,
        scratch: &Scratch,
        prroute: Prroute,
        flows: Option<u32>,
        options: &Options,
    ) -> Result<Self> {
        let cgroup = host.cgroup.as_ref().context("its sockets have no control group")?;
        let mut instance = Instance::new(&host.host, scratch, host.name())?
            .own_source(prroute.own_source)?
            .of_build(options.binary(prroute.build)?)
            .wrapped(cgroup.as_root()?);
        instance.configure(&configuration(prroute, flows))?;
        let daemon = instance.run(&[])?;
        let mut running = Self { daemon: Some(daemon), instance };
        wait::until_done("prroute knows every gateway", Duration::from_secs(30), || {
            running.knows_gateways()
        })?;
        if prroute.rules_alone {
            running.detach_programs(host)?;
        }
        host.check()?;
        Ok(running)
    }

    /// Leaves the rules and tables, without a daemon that would attach the programs again.
    fn detach_programs(&mut self, host: &Host) -> Result<()> {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill()?;
        }
        for pin in pins(self.instance.name())? {
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

fn configuration(prroute: Prroute, flows: Option<u32>) -> String {
    let mut text = format!("udp-source = {}\n", prroute.udp_source);
    if let Some(flows) = flows {
        text += &format!("flows = {flows}\n");
    }
    let reply = if prroute.last_hop { "reply = \"last-hop\"\n" } else { "" };
    for number in [1, 2] {
        let [four, six] = Family::BOTH.map(|family| addressing::gateway(number, family));
        let name = addressing::device(number);
        text +=
            &format!("[[uplink]]\nname = \"{name}\"\ngateway = [\"{four}\", \"{six}\"]\n{reply}");
    }
    text
}

/// All pins of an instance, of whatever layout; not the directory in a layout's own that marks it as the
/// one in force.
pub(crate) fn pins(instance: &str) -> Result<Vec<PathBuf>> {
    let list = |directory: &Path| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory);
        let entries = entries.with_context(|| format!("list {}", directory.display()))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let layouts = list(&prroute::pins(instance))?;
    let mut pins = layouts.iter().map(|layout| list(layout)).collect::<Result<Vec<_>>>()?.concat();
    pins.retain(|pin| !pin.is_dir());
    Ok(pins)
}
