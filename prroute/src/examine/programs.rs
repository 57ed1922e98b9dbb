//! Programs, pins and control groups: what the kernel has of them right now, against what was made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use nix::net::if_::if_indextoname;

use crate::datapath::attach::{self, Hook};
use crate::datapath::sockets;
use crate::datapath::{Pins, Tables, links};
use crate::examine::Examination;
use crate::json::{UdpSourceStateJson, UplinkJson};
use crate::netlink::{Direction, Kernel};
use crate::runtime::journal::AttachedDevice;
use crate::runtime::{DaemonReport, Journal};
use crate::state::findings::{Finding, Severity};
use crate::state::observed::Rule;
use crate::state::own_source::OwnSources;
use crate::state::uplink::UplinkId;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The hook of each uplink to which both programs are attached.
    pub(crate) hooks: BTreeMap<UplinkId, Hook>,
    /// The programs for wildcard UDP servers are attached.
    pub(crate) sockets: bool,
    /// What keeps own sources, as the programs have it; `None` without them.
    pub(crate) own_source: Option<OwnSources>,
    /// All there are.
    pub(crate) rules: Vec<Rule>,
    /// The directory of the maps, where not all are there.
    without_maps: Option<PathBuf>,
    /// Names of devices without their programs.
    without_programs: Vec<String>,
}

impl Seen {
    pub(super) async fn look(
        pins: &Pins,
        journal: &Journal,
        report: &DaemonReport,
    ) -> Result<Self> {
        crate::capability::require()?;
        let kernel = Kernel::connect().await?;
        let mut seen = Self { rules: kernel.rules().await?, ..Self::default() };
        if pins.exists() {
            seen.own_source = Some(Tables::open(pins)?.own_source()?);
        } else {
            seen.without_maps = Some(pins.layout());
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
                seen.without_programs.push(device.name.clone());
            }
        }
        seen.sockets = sockets::are_attached(pins)?;
        Ok(seen)
    }
}

pub(super) fn findings(examined: &Examination, seen: &Seen) -> Vec<Finding> {
    let fault = |id: String, what: String, device: Option<&String>| Finding {
        id,
        severity: Severity::Fault,
        what,
        device: device.cloned(),
        fix: examined.mend(),
        ..Finding::default()
    };
    let mut all = Vec::new();
    if let Some(directory) = &seen.without_maps {
        let what = format!("{}: pinned maps are missing", directory.display());
        all.push(fault("pins-missing".to_owned(), what, None));
    }
    for name in &seen.without_programs {
        let what = format!("{name}: the programs are not attached: its replies are not moved");
        all.push(fault(format!("program-missing:{name}"), what, Some(name)));
    }
    let attached = matches!(examined.report.udp_source, Some(UdpSourceStateJson::Attached { .. }));
    if attached && !seen.sockets {
        let what = "the programs for wildcard UDP servers are not attached".to_owned();
        all.push(fault("cgroup-programs".to_owned(), what, None));
    }
    all
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
