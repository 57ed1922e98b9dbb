//! What is printed, and what is kept in files, as it was promised: a field that is renamed, added or lost
//! shows.

mod plan;

use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use self::plan::{a_plan, accounts};
use super::*;
use crate::config::{Mistake, Mode, Reply};
use crate::datapath::attach::Hook;
use crate::datapath::flows::FlowRecord;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::datapath::sockets::UdpSource;
use crate::datapath::wrong_uplinks::WrongUplink;
use crate::state::advice::Advice;
use crate::state::findings::{Check, Finding, Kind, Outcome, Severity};
use crate::state::fixture::{ip, net, two_networks};
use crate::state::share::LeftOut;
use crate::state::uplink::{
    Ifindex, Skipped, SourceRoute, Stacked, SubnetGateway, Uplink, UplinkId,
};

/// With something in every field.
fn uplink() -> Uplink {
    let mut uplink = two_networks().uplinks().remove(0);
    let device = &mut uplink.device;
    let gateway = ip("192.168.1.2");
    let (net, source) = (net("192.168.7.0/24"), net("2001:db8:7::/64"));
    device.subnet_gateways = vec![SubnetGateway { net, gateway, usable: true, resolved: false }];
    let gateway = Some(ip("fe80::7"));
    device.source_routes = vec![SourceRoute { source, gateway, usable: true, resolved: false }];
    device.undecided = vec!["a sentence".to_owned()];
    let (name, mac) = ("vrrp.1".to_owned(), Some([0, 0, 0x5e, 0, 1, 1]));
    device.stacked = vec![Stacked { ifindex: Ifindex(9), name, mac }];
    (device.reply, device.table) = (Reply::LastHop, Some(21_300));
    device.to = vec![net];
    uplink
}

fn skipped() -> Vec<Skipped> {
    let reason = "loopback".to_owned();
    vec![Skipped { name: "lo".to_owned(), ifindex: Ifindex(1), reason }]
}

fn findings() -> Vec<Finding> {
    let finding = |severity, owner: Option<&str>| Finding {
        severity,
        what: "what".to_owned(),
        owner: owner.map(str::to_owned),
        remedy: Some("do it".to_owned()),
        device: Some("eth0".to_owned()),
        evidence: vec!["1 of 2".to_owned()],
        fix: Some("ip link set eth0 up".to_owned()),
        ..Finding::about(Kind::RouteMissing, "eth0")
    };
    vec![finding(Severity::Warning, Some("owner")), finding(Severity::Notice, None)]
}

fn counters(reasons: &[(&str, u64)]) -> Map<String, Value> {
    reasons.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into())).collect()
}

/// What a round tells of the host.
pub(crate) fn uplinks_skipped_and_findings() -> (Vec<UplinkJson>, Vec<SkippedJson>, Vec<FindingJson>)
{
    let skipped = skipped().iter().map(Into::into).collect();
    (vec![(&uplink()).into()], skipped, findings().iter().map(Into::into).collect())
}

pub(crate) fn left_out() -> Vec<LeftOutJson> {
    let (uplink, name) = (Some(UplinkId(1)), "eth0".to_owned());
    vec![(&LeftOut { uplink, name, prefixes: 2, main_routes: 4, addresses: 3 }).into()]
}

pub(crate) fn healed() -> HealedJson {
    let (by, what) = ("by somebody".to_owned(), "2 rules and 0 routes".to_owned());
    HealedJson { times: 2, by, what, last: Some(1_782_000_000) }
}

pub(crate) fn refusal() -> RefusalJson {
    RefusalJson { configuration: true, message: "why".to_owned() }
}

pub(crate) fn udp_source() -> UdpSourceStateJson {
    UdpSource::Attached { cgroup: "/sys/fs/cgroup".into() }.into()
}

fn observed() -> ObservedJson {
    let counted = WrongUplink {
        protocol: 6,
        address: ip("192.168.2.10"),
        port: 443,
        left_by: UplinkId(1),
        belongs_on: UplinkId(2),
        packets: 9,
    };
    ObservedJson::new(Some(720), Some(9), &[counted], &two_networks().uplinks())
}

pub(crate) fn a_status() -> StatusJson {
    let (mut uplinks, skipped, findings) = uplinks_skipped_and_findings();
    let tables =
        vec![Table { name: "FLOWS4", confirmed: true, capacity: 65_536, entries: 3, live: 2 }];
    StatusJson {
        schema: "prroute.status/2",
        version: "0.1.0",
        instance: "default".to_owned(),
        health: HealthJson::Degraded,
        mode: Mode::Enforce,
        pid: Some(42),
        uptime_seconds: Some(273_600),
        unwatched_seconds: Some(720),
        last_pid: Some(42),
        datapath: true,
        summary: "managing 1 uplink".to_owned(),
        uplinks: vec![UplinkStatusJson {
            uplink: uplinks.remove(0),
            state: UplinkStateJson::Degraded,
            default_route: true,
            answers: vec![GatewayJson {
                gateway: ip("192.168.1.1"),
                only_for: Some(net("192.168.7.0/24")),
                silent: true,
                silent_seconds: Some(8.5),
                silent_at_least: true,
                answered_seconds_ago: Some(1.5),
            }],
            hook: Some(Hook::Tcx),
            counters: counters(&[("reply", 7)]),
            received: Some(311),
            rates: Some(RatesJson { received_per_second: 311.5, moved_per_second: 0.5 }),
        }],
        of_all: None,
        shared: vec![ip("198.51.100.10")],
        skipped,
        left_out: left_out(),
        healed: Some(healed()),
        collision: Some("a collision".to_owned()),
        findings,
        refused: Some(refusal()),
        configuration: ConfigurationJson {
            files: vec!["/etc/prroute/prroute.toml".into()],
            read_seconds_ago: Some(12),
        },
        observed: Some(observed()),
        flow_tables: Some(
            Occupancy { tables, evicted_confirmed_at_most: 4, evicted_unconfirmed_at_most: 5 }
                .into(),
        ),
        udp_source: Some(UdpSourceJson {
            state: udp_source(),
            counters: counters(&[("source", 6)]),
        }),
        own_source: accounts().iter().map(Into::into).collect(),
    }
}

pub(crate) fn a_diagnosis() -> DoctorJson {
    let check = |kind, outcome| Check { kind, outcome };
    let checks = vec![
        check(Kind::RouteMissing, Outcome::Found),
        check(Kind::Carrier, Outcome::Ok),
        check(Kind::Mtu, Outcome::Skipped),
    ];
    let warning = |finding| Finding { severity: Severity::Warning, ..finding };
    let mut found = findings().into_iter();
    let fault = found.next().map(|finding| Finding { severity: Severity::Fault, ..finding });
    let findings: Vec<_> = fault.into_iter().chain(found.map(warning)).collect();
    let counts = CountsJson::of(&findings, &checks);
    DoctorJson {
        schema: "prroute.doctor/1",
        version: "0.1.0",
        kernel: "6.1.0".to_owned(),
        instance: "default".to_owned(),
        pid: Some(42),
        in_use: true,
        uplinks: vec!["eth0".to_owned(), "eth1".to_owned()],
        result: counts.result(),
        counts,
        findings: findings.iter().map(Into::into).collect(),
        checks: checks.iter().map(Into::into).collect(),
    }
}

fn a_check() -> CheckJson {
    let mistake = Mistake::Invalid {
        path: "/etc/prroute/prroute.toml".into(),
        line: Some(3),
        key: Some("gateway".to_owned()),
        message: "what is wrong".to_owned(),
    };
    let warnings = vec!["a warning".to_owned()];
    let advice = Advice { warnings, findings: findings(), conflict: None };
    let mut check = CheckJson::of(&advice, Some(&mistake.into()));
    check.conflict = Some("a collision".to_owned());
    check
}

fn some_flows() -> FlowsJson<'static> {
    let record = FlowRecord {
        protocol: 6,
        local: ip("192.168.1.10"),
        local_port: 80,
        remote: ip("198.51.100.7"),
        remote_port: 40_000,
        opened_inbound: true,
        answered: true,
        confirmed: true,
        closed: false,
        is_over: false,
        uplink: UplinkId(1),
        generation: 1,
        router: 0,
        idle_seconds: 0.5,
    };
    let service =
        ServiceJson { protocol: "tcp".into(), local: ip("192.168.1.10"), local_port: 80, flows: 1 };
    let summary = FlowsSummaryJson {
        total: 3,
        matching: 1,
        hidden: 2,
        hidden_fin: 1,
        new: 0,
        ok: 0,
        fall: 1,
        fin: 0,
        idle: 0,
        ipv4: 1,
        ipv6: 0,
        uplinks: [("eth0".to_owned(), 1)].into(),
        services: vec![service],
    };
    let facts = FlowFacts {
        state: "fall",
        uplink_name: Some("eth0"),
        obstacle: Some("uplink_down"),
        guest: Some(SocketAddr::new(ip("172.17.0.2"), 8080)),
    };
    FlowsJson::of(&[record], |_| facts, 0, summary)
}

/// The example has what is there now, name by name and value by value.
pub(crate) fn expect_example(name: &str, now: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name);
    let now = format!("{:#}\n", serde_json::to_value(now).unwrap());
    if std::env::var_os("PRROUTE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let example = std::fs::read_to_string(&path).unwrap_or_default();
    let change = example.lines().zip(now.lines()).find(|(example, now)| example != now);
    assert!(
        example == now,
        "{}: example and now: {change:?}. Are fields only added, or is the schema another one? Then \
         PRROUTE_WRITE_GOLDEN=1 cargo test -p prroute --lib examples",
        path.display()
    );
}

fn a_version() -> VersionJson {
    let kernel = KernelJson { release: Some("6.12.0".to_owned()), tcx: Some(true) };
    VersionJson {
        version: "1.2.3".to_owned(),
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        dirty: true,
        bpf_object: BpfObjectJson { sha256: "ab".repeat(32), bytes: 100_000 },
        layout: 8,
        memory: 1,
        features: vec!["other-version".to_owned()],
        architecture: "x86_64".to_owned(),
        static_binary: true,
        release: true,
        ..VersionJson::of_this_build(0, kernel)
    }
}

#[test]
fn reports_are_as_the_examples_say() {
    expect_example("version.json", &a_version());
    expect_example("status.json", &a_status());
    expect_example("plan.json", &a_plan());
    expect_example("check.json", &a_check());
    expect_example("doctor.json", &a_diagnosis());
    expect_example("flows.json", &some_flows());
}
