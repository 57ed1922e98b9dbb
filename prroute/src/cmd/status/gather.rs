//! From what was examined to the report.

use anyhow::Result;
use serde_json::Map;

use crate::cmd::status::age;
use crate::datapath::counters::Counters;
use crate::datapath::occupancy::Occupancy;
use crate::datapath::{DatapathError, Pins};
use crate::datapath::{sockets, wrong_uplinks};
use crate::examine::{Answer, Examination, Seen};
use crate::instance::Instance;
use crate::json::{
    ConfigurationJson, Format, GatewayJson, ObservedJson, OwnSourceJson, StatusJson, UdpSourceJson,
    UdpSourceStateJson, UplinkStateJson, UplinkStatusJson,
};
use crate::runtime::report::{DaemonReport, OwnSourceReport};
use crate::runtime::{RunDirectory, uptime};
use crate::state::findings::{Finding, Severity};
use crate::state::observed::{Family, Observed};
use crate::state::own_source::{Account, Cause, OwnSources};
use crate::state::uplink::Discovered;
use crate::sysctl::received;

pub(super) fn report(
    instance: &Instance,
    examined: &Examination,
    pins: &Pins,
) -> Result<StatusJson> {
    let Examination { outlook, report, .. } = examined;
    let datapath = examined.in_force.is_this();
    let findings = examined.findings();
    let has_sockets = examined.programs.as_ref().is_some_and(|seen| seen.sockets);
    let last_alive = || RunDirectory::of(instance).last_alive()?.elapsed().ok();
    let shared = outlook.locals.iter().filter(|local| local.owner.is_none());
    Ok(StatusJson {
        schema: Format::Status.id(),
        version: env!("CARGO_PKG_VERSION"),
        instance: instance.to_string(),
        health: examined.health(&findings).into(),
        mode: examined.configuration.config.mode,
        pid: examined.daemon.map(nix::unistd::Pid::as_raw),
        uptime_seconds: examined.daemon.and_then(uptime).map(|time| time.as_secs()),
        unwatched_seconds: match examined.daemon {
            Some(_) => None,
            None => last_alive().map(|time| time.as_secs()),
        },
        last_pid: report.daemon,
        datapath,
        summary: report.summary.clone(),
        uplinks: uplinks(examined, pins, &findings)?,
        of_all: None,
        shared: shared.map(|local| local.address).collect(),
        skipped: outlook.skipped.iter().map(Into::into).collect(),
        left_out: outlook.left_out.iter().map(Into::into).collect(),
        healed: report.healed.clone(),
        collision: outlook.plan.as_ref().err().map(ToString::to_string),
        findings: findings.iter().map(Into::into).collect(),
        refused: report.reload.refusal.clone(),
        configuration: ConfigurationJson {
            files: report.configuration.iter().flatten().map(|stamp| stamp.path.clone()).collect(),
            read_seconds_ago: report
                .configuration_read
                .and_then(age::since)
                .map(|time| time.as_secs()),
        },
        observed: observed(examined, pins)?,
        flow_tables: datapath.then(|| Occupancy::read(pins)).transpose()?.map(Into::into),
        udp_source: match &report.udp_source {
            Some(UdpSourceStateJson::Attached { .. }) if datapath && !has_sockets => {
                let reason = "the programs are no longer attached".to_owned();
                Some(udp_source(UdpSourceStateJson::Unavailable { reason }, pins)?)
            }
            Some(state) if datapath => Some(udp_source(state.clone(), pins)?),
            _ => None,
        },
        own_source: match &examined.programs {
            Some(seen) if !examined.observes() => own_source(report, seen),
            _ => Vec::new(),
        },
    })
}

/// What left by the wrong uplink.
fn observed(examined: &Examination, pins: &Pins) -> Result<Option<ObservedJson>> {
    if !examined.observes() {
        return Ok(None);
    }
    let counted = match examined.in_force.is_this() {
        true => wrong_uplinks::read(pins)?,
        false => Vec::new(),
    };
    // Behind them: what is counted meanwhile is in the total, too.
    let before = examined.report.observed_before.filter(|_| examined.in_force.is_this());
    let total = before
        .map(|before| Ok::<_, DatapathError>(wrong_uplinks::total(pins)?.saturating_sub(before)));
    let total = total.transpose()?;
    let since = examined.report.observing_since.and_then(age::since);
    let seconds = since.map(|time| time.as_secs());
    Ok(Some(ObservedJson::new(seconds, total, &counted, &examined.outlook.uplinks)))
}

fn uplinks(
    examined: &Examination,
    pins: &Pins,
    findings: &[Finding],
) -> Result<Vec<UplinkStatusJson>> {
    let open = examined.in_force.is_this().then(|| Counters::open(pins)).transpose()?;
    let (received, default_devices) = (received::packets(), examined.default_devices());
    let mut all = Vec::new();
    for uplink in &examined.outlook.uplinks {
        let mut counters = Map::new();
        if let Some(open) = &open {
            for (reason, count) in open.of(uplink.id)? {
                counters.insert(reason.name().to_owned(), count.into());
            }
        }
        let device = &uplink.device;
        let hook = examined.programs.as_ref().and_then(|seen| seen.hooks.get(&uplink.id).copied());
        let answers = examined.answers(device);
        all.push(UplinkStatusJson {
            uplink: uplink.into(),
            state: state(&examined.outlook.observed, device, findings),
            default_route: default_devices.contains(&device.ifindex),
            answers: answers.iter().map(gateway).collect(),
            hook,
            counters,
            received: received.get(&device.name).copied(),
            rates: None,
        });
    }
    Ok(all)
}

fn state(observed: &Observed, device: &Discovered, findings: &[Finding]) -> UplinkStateJson {
    let is_set_down = || observed.link(device.ifindex).is_some_and(|link| !link.admin_up);
    let mut faults = findings.iter().filter(|it| it.severity == Severity::Fault);
    match device.up {
        false if is_set_down() => UplinkStateJson::Down,
        false => UplinkStateJson::NoCarrier,
        true if faults.any(|it| it.device.as_ref() == Some(&device.name)) => {
            UplinkStateJson::Degraded
        }
        true => UplinkStateJson::Up,
    }
}

fn gateway(answer: &Answer) -> GatewayJson {
    let Answer { gateway, only_for, silent, silence, age } = *answer;
    GatewayJson {
        gateway,
        only_for,
        silent,
        silent_seconds: silence.map(|silence| silence.lasts.as_secs_f64()),
        silent_at_least: silence.is_some_and(|silence| !silence.seen_to_begin),
        answered_seconds_ago: age.map(|age| age.as_secs_f64()),
    }
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
