//! `prroute status`.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Result, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use prroute_common::reason::Reason;
use prroute_common::udp_origin::SocketReason;
use serde_json::Map;

use crate::cli::ReportArgs;
use crate::cmd::{NoReport, NotRunning, belongs, output};
use crate::datapath::Pins;
use crate::datapath::counters::Counters;
use crate::datapath::occupancy::Occupancy;
use crate::datapath::sockets;
use crate::examine::{Examination, Seen};
use crate::instance::Instance;
use crate::json::{
    HealedJson, OwnSourceJson, StatusJson, UdpSourceJson, UdpSourceStateJson, UplinkStatusJson,
};
use crate::runtime::report::{DaemonReport, OwnSourceReport};
use crate::state::findings::Severity;
use crate::state::observed::Family;
use crate::state::own_source::{Account, Cause, OwnSources};

pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let found = belongs::find_present(instance, "status")?;
    let pins = Pins::of(instance);
    if found.daemon.is_none() && !pins.has_any() {
        return Err(NotRunning(instance.clone()).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let examined = runtime.block_on(Examination::of(instance, found.daemon))?;
    let report = report(instance, &examined, &pins)?;
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&report.to_string())?;
    }
    // The report is out; the code still tells scripts that nobody follows the network.
    if examined.daemon.is_none() {
        return Err(NotRunning(instance.clone()).into());
    }
    if !examined.is_reported {
        return Err(NoReport(instance.clone()).into());
    }
    match report.faults.len() {
        0 => Ok(()),
        count => bail!("faults: {count}, listed above"),
    }
}

fn report(instance: &Instance, examined: &Examination, pins: &Pins) -> Result<StatusJson> {
    let Examination { outlook, report, .. } = examined;
    let datapath = pins.exists();
    let open = datapath.then(|| Counters::open(pins)).transpose()?;
    let mut uplinks = Vec::new();
    for uplink in &outlook.uplinks {
        let mut counters = Map::new();
        if let Some(open) = &open {
            for (reason, count) in open.of(uplink.id)? {
                counters.insert(reason.name().to_owned(), count.into());
            }
        }
        let hook = examined.programs.as_ref().and_then(|seen| seen.hooks.get(&uplink.id).copied());
        uplinks.push(UplinkStatusJson { uplink: uplink.into(), hook, counters });
    }
    let (faults, findings): (Vec<_>, Vec<_>) =
        examined.findings().into_iter().partition(|it| it.severity == Severity::Fault);
    let has_sockets = examined.programs.as_ref().is_some_and(|seen| seen.sockets);
    Ok(StatusJson {
        schema: "prroute.status/1",
        instance: instance.to_string(),
        pid: examined.daemon.map(nix::unistd::Pid::as_raw),
        datapath,
        summary: report.summary.clone(),
        uplinks,
        skipped: outlook.skipped.iter().map(Into::into).collect(),
        left_out: outlook.left_out.iter().map(Into::into).collect(),
        healed: report.healed.clone(),
        collision: outlook.plan.as_ref().err().map(ToString::to_string),
        findings: findings.iter().map(Into::into).collect(),
        refused: report.reload.refusal.clone(),
        faults: faults.iter().map(ToString::to_string).collect(),
        flow_tables: datapath.then(|| Occupancy::read(pins)).transpose()?.map(Into::into),
        udp_source: match &report.udp_source {
            Some(UdpSourceStateJson::Attached { .. }) if datapath && !has_sockets => {
                let reason = "the programs are no longer attached".to_owned();
                Some(udp_source(UdpSourceStateJson::Unavailable { reason }, pins)?)
            }
            Some(state) if datapath => Some(udp_source(state.clone(), pins)?),
            _ => None,
        },
        own_source: examined.programs.as_ref().map_or(Vec::new(), |seen| own_source(report, seen)),
    })
}

/// As the programs and the kernel's rules have it; that there were rules the daemon has seen.
fn own_source(report: &DaemonReport, seen: &Seen) -> Vec<OwnSourceJson> {
    let speaks = |family: &Family| report.uplinks.iter().any(|uplink| uplink.speaks(*family));
    let OwnSourceReport { asked, had_rules } = report.own_source;
    let account = |family, kept_by: OwnSources| Account {
        family,
        asked,
        kept_by: kept_by[family],
        causes: Cause::of(&seen.rules, family),
        had_rules: had_rules[family],
    };
    let families = Family::BOTH.into_iter().filter(speaks);
    families.filter_map(|family| Some((&account(family, seen.own_source?)).into())).collect()
}

fn udp_source(state: UdpSourceStateJson, pins: &Pins) -> Result<UdpSourceJson> {
    let counts = sockets::counters(pins)?.into_iter();
    let counters = counts.map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
    Ok(UdpSourceJson { state, counters })
}

impl fmt::Display for StatusJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => {
                writeln!(f, "instance {}: running (pid {pid}), {}", self.instance, self.summary)?;
            }
            None => writeln!(
                f,
                "instance {}: no daemon runs; the datapath works on its last state and follows no \
                 change",
                self.instance
            )?,
        }
        if !self.uplinks.is_empty() {
            writeln!(f, "\n{}", uplink_table(self).trim_fmt())?;
        }
        for UplinkStatusJson { uplink, .. } in &self.uplinks {
            for device in &uplink.stacked {
                writeln!(f, "{}: counts as {}", device.name, uplink.name)?;
            }
            for undecided in &uplink.undecided {
                writeln!(f, "{undecided}")?;
            }
        }
        if self.datapath {
            writeln!(f, "\n{}", counter_table(self).trim_fmt())?;
        }
        if let Some(tables) = &self.flow_tables {
            writeln!(f, "\n{tables}")?;
        }
        for left_out in &self.left_out {
            writeln!(f, "\n{left_out}")?;
        }
        for fault in &self.faults {
            writeln!(f, "\n{fault}")?;
        }
        if let Some(HealedJson { times, by, what, .. }) = &self.healed {
            writeln!(
                f,
                "\nothers deleted something of prroute's {times} times, and it was put back; the last \
                 time: {what}, {by}"
            )?;
        }
        if let Some(collision) = &self.collision {
            writeln!(f, "\n{collision}")?;
        }
        for finding in &self.findings {
            writeln!(f, "\n{finding}")?;
        }
        if let Some(refusal) = &self.refused {
            writeln!(f, "\nthe last reload was refused: {}", refusal.message)?;
        }
        if let Some(udp_source) = &self.udp_source {
            writeln!(f, "\n{udp_source}")?;
        }
        if !self.own_source.is_empty() {
            writeln!(f)?;
        }
        let sentences = |n: usize| self.own_source.iter().filter_map(move |it| it.sentences.get(n));
        for sentence in sentences(0).chain(sentences(1)) {
            writeln!(f, "{sentence}")?;
        }
        if !self.skipped.is_empty() {
            writeln!(f, "\nnot managed:")?;
            for skipped in &self.skipped {
                writeln!(f, "  {}: {}", skipped.name, skipped.reason)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for UdpSourceJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wildcard UDP servers: ")?;
        match &self.state {
            UdpSourceStateJson::Off => {
                f.write_str("answer from the address that routing prefers (udp-source = false)")?;
            }
            UdpSourceStateJson::Attached { cgroup } => {
                write!(f, "answer from the address asked (hooks on {})", cgroup.display())?;
            }
            UdpSourceStateJson::Unavailable { reason } => {
                write!(f, "answer from the address that routing prefers: {reason}")?;
            }
        }
        for reason in SocketReason::ALL {
            let count = self.counters.get(reason.name()).and_then(serde_json::Value::as_u64);
            if let Some(count @ 1..) = count {
                write!(f, "\n  {} {count}  {}", reason.name(), reason.describe())?;
            }
        }
        Ok(())
    }
}

fn uplink_table(report: &StatusJson) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["UPLINK", "ID", "STATE", "HOOK", "GATEWAY", "ADDRESSES"]);
    for UplinkStatusJson { uplink: device, hook, .. } in &report.uplinks {
        let by_subnet = device.subnet_gateways.iter().map(|subnet| {
            gateway(Some(subnet.gateway), subnet.usable).map(|g| format!("{g} for {}", subnet.net))
        });
        let by_source = device.source_routes.iter().map(|route| {
            gateway(route.gateway, route.usable).map(|g| format!("{g} for {}", route.source))
        });
        let gateway6 = device.gateway6.filter(|_| !device.only_by_source6);
        let gateways: Vec<_> = [
            gateway(device.gateway4, device.gateway4_usable),
            gateway(gateway6, device.gateway6_usable),
        ]
        .into_iter()
        .chain(by_source)
        .chain(by_subnet)
        .flatten()
        .collect();
        let addresses: Vec<_> = device.addresses.iter().map(ToString::to_string).collect();
        table.add_row([
            device.name.clone(),
            device.id.to_string(),
            if device.up { "up" } else { "down" }.to_owned(),
            hook.map_or("-".to_owned(), |hook| hook.to_string()),
            if gateways.is_empty() { "none".to_owned() } else { gateways.join("\n") },
            addresses.join("\n"),
        ]);
    }
    table
}

fn gateway(address: Option<IpAddr>, usable: bool) -> Option<String> {
    address.map(
        |address| if usable { address.to_string() } else { format!("{address} (unreachable)") },
    )
}

/// One column per uplink, one line per reason that was counted.
fn counter_table(report: &StatusJson) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let names = report.uplinks.iter().map(|report| report.uplink.name.clone());
    table.set_header(std::iter::once("PACKETS".to_owned()).chain(names).chain([String::new()]));
    for reason in Reason::ALL {
        let counts: Vec<u64> = report
            .uplinks
            .iter()
            .map(|report| report.counters.get(reason.name()).and_then(serde_json::Value::as_u64))
            .map(Option::unwrap_or_default)
            .collect();
        if counts.iter().any(|count| *count > 0) {
            let cells = counts.iter().map(ToString::to_string);
            table.add_row(
                std::iter::once(reason.name().to_owned())
                    .chain(cells)
                    .chain([reason.describe().trim().to_owned()]),
            );
        }
    }
    table
}
