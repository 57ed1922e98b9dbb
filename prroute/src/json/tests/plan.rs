//! A plan with one operation of each kind.

use super::super::{ExplainedJson, PlanJson, ProgramsJson};
use super::uplinks_skipped_and_findings;
use crate::config::{Mode, OwnSource};
use crate::datapath::attach::Hook;
use crate::state::desired::{Recognised, SourceRouting};
use crate::state::fixture::{ip, net};
use crate::state::observed::{
    Family, Mark, NextHop, Rejection, Route, RouteKind, RouteMetrics, RouterPreference, Rule,
};
use crate::state::own_source::{Account, Cause};
use crate::state::plan::{NeighbourKey, Op, RpFilterChange};
use crate::state::uplink::Ifindex;

fn rule() -> Rule {
    let mut rule = Rule::nop(Family::V4, 21_020);
    (rule.source, rule.destination) = (Some(net("192.168.1.0/24")), Some(net("10.0.0.0/8")));
    (rule.iif, rule.oif) = (Some("lo".to_owned()), Some("eth0".to_owned()));
    (rule.mark, rule.refusal) = (Some(Mark { value: 1, mask: 255 }), Some(Rejection::Prohibit));
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
        preference: RouterPreference::default(),
        metrics: RouteMetrics::default(),
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

pub(super) fn accounts() -> Vec<Account> {
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

pub(super) fn a_plan() -> PlanJson {
    let (uplinks, skipped, findings) = uplinks_skipped_and_findings();
    let explained = |operation: &Op| ExplainedJson {
        command: "ip ...".to_owned(),
        reason: "because".to_owned(),
        operation: operation.into(),
    };
    PlanJson {
        schema: "prroute.plan/2",
        mode: Mode::Enforce,
        manages: true,
        uplinks,
        skipped,
        recognised: recognised().iter().map(Into::into).collect(),
        findings,
        operations: operations().iter().map(explained).collect(),
        attach: vec!["eth0".to_owned()],
        attach_ingress: vec!["vrrp.1".to_owned()],
        programs: vec![ProgramsJson {
            device: "eth0".to_owned(),
            directions: vec!["ingress", "egress"],
            hook: Some(Hook::Tcx),
        }],
        detach: vec!["eth3".to_owned()],
        cgroup: Some("/sys/fs/cgroup".into()),
        detach_sockets: false,
        pins: Some("/sys/fs/bpf/prroute/default/v1".into()),
        own_source: accounts().iter().map(Into::into).collect(),
    }
}
