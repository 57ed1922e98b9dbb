//! What the kernel shows of the datapath right now, against what the daemon made.

use std::collections::BTreeMap;

use anyhow::Result;
use nix::net::if_::if_indextoname;

use crate::datapath::attach::{self, Hook};
use crate::datapath::sockets;
use crate::datapath::{Pins, Tables, links};
use crate::json::{UdpSourceStateJson, UplinkJson};
use crate::netlink::{Direction, Kernel};
use crate::runtime::journal::AttachedDevice;
use crate::runtime::{DaemonReport, Journal};
use crate::state::observed::Rule;
use crate::state::own_source::OwnSources;
use crate::state::uplink::UplinkId;

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The hook of each uplink to which both programs are attached.
    pub(super) hooks: BTreeMap<UplinkId, Hook>,
    /// The programs for wildcard UDP servers are attached.
    pub(super) sockets: bool,
    /// What keeps own sources, as the programs have it; `None` without them.
    pub(super) own_source: Option<OwnSources>,
    /// All there are.
    pub(super) rules: Vec<Rule>,
    /// What is missing, each with what mends it.
    pub(super) faults: Vec<String>,
}

impl Seen {
    pub(super) fn look(
        pins: &Pins,
        journal: &Journal,
        report: &DaemonReport,
        daemon: bool,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Self::gather(pins, journal, report, daemon))
    }

    async fn gather(
        pins: &Pins,
        journal: &Journal,
        report: &DaemonReport,
        daemon: bool,
    ) -> Result<Self> {
        let kernel = Kernel::connect().await?;
        let mut seen = Self::default();
        let mend = if daemon {
            "the daemon puts it back within seconds"
        } else {
            "a daemon puts it back when it starts (`systemctl restart prroute`)"
        };
        let mut missing = Vec::new();
        seen.rules = kernel.rules().await?;
        if pins.exists() {
            seen.own_source = Some(Tables::open(pins)?.own_source()?);
        } else {
            missing.push(format!("{}: pinned maps are missing", pins.layout().display()));
        }
        for device in &journal.attached {
            let there = if device.stacked {
                match device.hook {
                    Hook::Tcx => {
                        links::is_attached_to(&pins.stacked_link(device.ifindex), device.ifindex.0)?
                    }
                    Hook::Clsact => {
                        kernel.filter(device.ifindex, Direction::Ingress).await?.is_some()
                    }
                }
            } else {
                let hook = attach::hook_in_force(&kernel, pins, device.id, device.ifindex).await?;
                hook.map(|hook| seen.hooks.insert(device.id, hook));
                hook.is_some()
            };
            // One that is deleted lost its programs with itself, and they leave what is no uplink.
            if !there && is_managed(report, device) && if_indextoname(device.ifindex.0).is_ok() {
                missing.push(format!("{}: the programs are not attached", device.name));
            }
        }
        seen.sockets = sockets::are_attached(pins)?;
        let attached = matches!(report.udp_source, Some(UdpSourceStateJson::Attached { .. }));
        if !seen.sockets && attached {
            missing.push("wildcard UDP servers: the programs are not attached".to_owned());
        }
        seen.faults = missing.into_iter().map(|what| format!("{what}; {mend}")).collect();
        Ok(seen)
    }
}

/// Whether the daemon says that a device is an uplink, or stands on one. Where it says nothing, what the
/// journal names is.
fn is_managed(report: &DaemonReport, device: &AttachedDevice) -> bool {
    let is_it = |uplink: &UplinkJson| match device.stacked {
        true => uplink.stacked.iter().any(|stacked| stacked.ifindex == device.ifindex.0),
        false => uplink.ifindex == device.ifindex.0,
    };
    report.uplinks.is_empty() || report.uplinks.iter().any(is_it)
}
