//! From the tables to a list: each flow is counted as it comes, and no more are kept than are listed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::IpAddr;

use crate::cmd::flows::Question;
use crate::cmd::flows::filter::{Facts, Wanted};
use crate::cmd::flows::listing::Flows;
use crate::cmd::flows::state::State;
use crate::cmd::flows::uplinks::{Bound, Uplinks};
use crate::datapath::flows::FlowRecord;
use crate::datapath::targets::Obstacle;
use crate::json::{FlowsSummaryJson, ServiceJson, protocol_name};
use crate::state::uplink::UplinkId;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// So many services are named.
const SERVICES: usize = 5;
/// So many are told apart.
const DISTINCT: usize = 10_000;

/// In the order of their age: the one that is idle for longest is the greatest.
struct ByAge(FlowRecord);

impl PartialEq for ByAge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByAge {}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.idle_seconds.total_cmp(&other.0.idle_seconds)
    }
}

/// How many flows that live follow the routing tables, by uplink and why.
pub(super) type Falling = BTreeMap<(UplinkId, Obstacle), usize>;

pub(super) struct Gathering<'a> {
    question: &'a Question,
    wanted: &'a Wanted,
    uplinks: Uplinks,
    /// All that are listed.
    all: Vec<FlowRecord>,
    /// Instead of those the youngest, where not all are listed.
    youngest: BinaryHeap<ByAge>,
    services: HashMap<(u8, IpAddr, u16), usize>,
    /// By uplink, and whether it is there still under this name.
    by_uplink: BTreeMap<(UplinkId, bool), usize>,
    falling: Falling,
    summary: FlowsSummaryJson,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(question: &'a Question, wanted: &'a Wanted, uplinks: Uplinks) -> Self {
        Self {
            question,
            wanted,
            uplinks,
            all: Vec::new(),
            youngest: BinaryHeap::new(),
            services: HashMap::new(),
            by_uplink: BTreeMap::new(),
            falling: Falling::new(),
            summary: FlowsSummaryJson::default(),
        }
    }

    pub(super) fn take(&mut self, record: FlowRecord) {
        self.summary.total += 1;
        if !self.is_chosen(&record) {
            return;
        }
        let bound = self.uplinks.of(&record);
        let state = State::of(&record, bound.obstacle);
        let facts = Facts {
            local: (record.local, record.local_port),
            remote: (record.remote, record.remote_port),
            uplink: bound.name,
            state,
        };
        if !self.wanted.names(&facts) {
            return;
        }
        if !self.wanted.is_about(state) {
            self.summary.hidden += 1;
            self.summary.hidden_fin += usize::from(state == State::Fin);
            return;
        }
        let Bound { name, obstacle } = bound;
        let is_named = name.is_some();
        *self.by_uplink.entry((record.uplink, is_named)).or_default() += 1;
        if let Some(obstacle) = obstacle.filter(|_| state == State::Fall) {
            *self.falling.entry((record.uplink, obstacle)).or_default() += 1;
        }
        self.count(&record, state);
        self.keep(record);
    }

    /// By the options.
    fn is_chosen(&self, record: &FlowRecord) -> bool {
        let Question { tcp, udp, ipv4, ipv6, .. } = *self.question;
        let is_protocol =
            (!tcp && !udp) || (tcp && record.protocol == TCP) || (udp && record.protocol == UDP);
        is_protocol && (ipv4 == ipv6 || ipv4 == record.local.is_ipv4())
    }

    fn count(&mut self, record: &FlowRecord, state: State) {
        let summary = &mut self.summary;
        summary.matching += 1;
        *match state {
            State::New => &mut summary.new,
            State::Ok => &mut summary.ok,
            State::Fall => &mut summary.fall,
            State::Fin => &mut summary.fin,
            State::Idle => &mut summary.idle,
        } += 1;
        *if record.local.is_ipv4() { &mut summary.ipv4 } else { &mut summary.ipv6 } += 1;
        if !record.opened_inbound {
            return;
        }
        let service = (record.protocol, record.local, record.local_port);
        if let Some(flows) = self.services.get_mut(&service) {
            *flows += 1;
        } else if self.services.len() < DISTINCT {
            self.services.insert(service, 1);
        }
    }

    fn keep(&mut self, record: FlowRecord) {
        // What they come to is told by the counters.
        if self.question.summary {
            return;
        }
        if self.question.limit == 0 {
            self.all.push(record);
            return;
        }
        self.youngest.push(ByAge(record));
        if self.youngest.len() > self.question.limit {
            self.youngest.pop();
        }
    }

    pub(super) fn end(self) -> Flows {
        let Self { question, uplinks, all, youngest, services, mut summary, .. } = self;
        let mut services: Vec<_> = services.into_iter().collect();
        services.sort_by_key(|(service, flows)| (std::cmp::Reverse(*flows), *service));
        services.truncate(SERVICES);
        let service = |((protocol, local, local_port), flows)| ServiceJson {
            protocol: protocol_name(protocol),
            local,
            local_port,
            flows,
        };
        summary.services = services.into_iter().map(service).collect();
        for ((id, is_named), flows) in self.by_uplink {
            *summary.uplinks.entry(uplinks.name(id, is_named)).or_default() += flows;
        }
        let mut records = all;
        records.sort_unstable_by(|one, other| one.idle_seconds.total_cmp(&other.idle_seconds));
        records.extend(youngest.into_sorted_vec().into_iter().map(|ByAge(record)| record));
        let (falling, is_limited) = (self.falling, question.is_limited);
        Flows { records, uplinks, falling, guests: HashMap::new(), summary, is_limited }
    }
}
