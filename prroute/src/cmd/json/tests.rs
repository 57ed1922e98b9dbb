//! Each report as it was promised: a field that is renamed or lost shows.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::*;
use crate::cmd::{plan, status};
use crate::config::{OwnSource, Reply};
use crate::datapath::attach::Hook;
use crate::datapath::flows::FlowRecord;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::datapath::sockets::UdpSource;
use crate::runtime::report::{Healed, Refusal};
use crate::state::desired::{Recognised, SourceRouting};
use crate::state::fixture::{ip, net, two_networks};
use crate::state::observed::{
    Family, Mark, NextHop, Refusal as RuleRefusal, Route, RouteKind, Rule,
};
use crate::state::own_source::{Account, Cause};
use crate::state::plan::{NeighbourKey, Op, RpFilterChange};
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
        id: "kind:object".to_owned(),
        severity,
        what: "what".to_owned(),
        owner: owner.map(str::to_owned),
        remedy: Some("do it".to_owned()),
    };
    vec![finding(Severity::Warning, Some("owner")), finding(Severity::Notice, None)]
}

fn counters(reasons: &[(&str, u64)]) -> Map<String, Value> {
    reasons.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into())).collect()
}

fn rule() -> Rule {
    let mut rule = Rule::nop(Family::V4, 21_020);
    (rule.source, rule.destination) = (Some(net("192.168.1.0/24")), Some(net("10.0.0.0/8")));
    (rule.iif, rule.oif) = (Some("lo".to_owned()), Some("eth0".to_owned()));
    (rule.mark, rule.refusal) = (Some(Mark { value: 1, mask: 255 }), Some(RuleRefusal::Prohibit));
    (rule.table, rule.goto, rule.suppress_prefix_length) = (254, Some(21_999), Some(1));
    rule
}

fn route(kind: RouteKind) -> Route {
    let hop = NextHop {
        ifindex: Ifindex(2),
        device: "eth0".to_owned(),
        gateway: Some(ip("fe80::1")),
        onlink: true,
    };
    Route {
        table: 21_001,
        destination: net("2001:db8::/32"),
        source: Some(net("2001:db8:1::/64")),
        metric: 1024,
        kind,
        protocol: 213,
        scope_link: false,
        next_hops: vec![hop],
    }
}

fn operations() -> Vec<Op> {
    let (ifindex, device) = (Ifindex(2), "eth0".to_owned());
    let change = RpFilterChange { ifindex, device: device.clone(), from: 1, to: 2 };
    let key = NeighbourKey { ifindex, address: ip("192.168.1.1"), device };
    let (unicast, other) = (route(RouteKind::Unicast), route(RouteKind::Other(7)));
    vec![
        Op::LoosenRpFilter(change.clone()),
        Op::ManageNeighbour(key.clone()),
        Op::AddRoute(unicast.clone()),
        Op::ReplaceRoute { old: unicast, new: other.clone() },
        Op::AddRule(rule()),
        Op::DeleteRule(Rule::nop(Family::V6, 21_000)),
        Op::DeleteRoute(other),
        Op::ReleaseNeighbour(key),
        Op::RestoreRpFilter(change),
    ]
}

fn recognised() -> Vec<Recognised> {
    let (address, source) = (ip("2001:db8:1::10"), net("2001:db8:1::/64"));
    let rule = SourceRouting::Rule { priority: 100, table: 77 };
    let device = "eth1".to_owned();
    let route = SourceRouting::Route { table: 254, source, device, gateway: None };
    vec![Recognised { address, by: rule }, Recognised { address, by: route }]
}

fn accounts() -> Vec<Account> {
    let v4 = Account {
        family: Family::V4,
        asked: OwnSource::Datapath,
        kept_by: OwnSource::Datapath,
        causes: vec![Cause::Destinations, Cause::Others { count: 2, first: 5_270 }],
        had_rules: true,
    };
    let (family, kept_by) = (Family::V6, OwnSource::Rules);
    let causes = vec![Cause::Sources, Cause::Devices];
    vec![v4.clone(), Account { family, kept_by, causes, ..v4 }]
}

fn a_status() -> StatusJson {
    let name = "eth0".to_owned();
    let tables =
        vec![Table { name: "FLOWS4", confirmed: true, capacity: 65_536, entries: 3, live: 2 }];
    let report = status::Report {
        instance: "default".to_owned(),
        pid: Some(42),
        datapath: true,
        summary: "managing 1 uplink".to_owned(),
        uplinks: vec![status::UplinkReport {
            uplink: uplink(),
            hook: Some(Hook::Tcx),
            counters: counters(&[("reply", 7)]),
        }],
        skipped: skipped(),
        left_out: vec![LeftOut {
            uplink: Some(UplinkId(1)),
            name,
            prefixes: 2,
            main_routes: 4,
            addresses: 3,
        }],
        healed: Some(Healed {
            times: 2,
            by: "by somebody".to_owned(),
            what: "2 rules and 0 routes".to_owned(),
        }),
        collision: Some("a collision".to_owned()),
        findings: findings(),
        refused: Some(Refusal { configuration: true, message: "why".to_owned() }),
        faults: vec!["eth0: the programs are not attached".to_owned()],
        flow_tables: Some(Occupancy {
            tables,
            evicted_confirmed_at_most: 4,
            evicted_unconfirmed_at_most: 5,
        }),
        udp_source: Some(status::UdpSourceReport {
            state: UdpSource::Attached { cgroup: "/sys/fs/cgroup".into() },
            counters: counters(&[("source", 6)]),
        }),
        own_source: accounts(),
    };
    (&report).into()
}

fn a_plan() -> PlanJson {
    let (uplinks, skipped, recognised) = ([uplink()], skipped(), recognised());
    let (operations, findings) = (operations(), findings());
    let report = plan::Report {
        manages: true,
        uplinks: &uplinks,
        skipped: &skipped,
        recognised: &recognised,
        findings: &findings,
        operations: operations
            .iter()
            .map(|operation| plan::Operation {
                command: "ip ...".to_owned(),
                reason: "because".to_owned(),
                operation,
            })
            .collect(),
        attach: vec!["eth0"],
        attach_ingress: vec!["vrrp.1"],
        own_source: accounts(),
    };
    (&report).into()
}

fn some_flows() -> FlowsJson {
    let record = FlowRecord {
        protocol: 6,
        local: ip("192.168.1.10"),
        local_port: 80,
        remote: ip("198.51.100.7"),
        remote_port: 40_000,
        opened_inbound: true,
        confirmed: true,
        uplink: UplinkId(1),
        generation: 1,
        idle_seconds: 0.5,
    };
    [record].as_slice().into()
}

/// Every path to a value, and the value.
fn leaves(value: &Value, path: &str, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{path}.{name}"), all));
        }
        Value::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(n, value)| leaves(value, &format!("{path}[{n}]"), all));
        }
        value => drop(all.insert(path.to_owned(), value.clone())),
    }
}

/// What the example has is there, with its value; what is new is added to the example by
/// `PRROUTE_WRITE_GOLDEN=1`.
fn expect(name: &str, report: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cmd/json/examples").join(name);
    let now = serde_json::to_value(report).unwrap();
    if std::env::var_os("PRROUTE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{now:#}\n")).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let promised: Value = serde_json::from_str(&text).unwrap_or_default();
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    leaves(&promised, name, &mut old);
    leaves(&now, name, &mut new);
    assert_eq!(old, new, "{}: is it only additions? Then PRROUTE_WRITE_GOLDEN=1", path.display());
}

#[test]
fn reports_are_as_the_examples_say() {
    expect("status.json", &a_status());
    expect("plan.json", &a_plan());
    expect("flows.json", &some_flows());
}
