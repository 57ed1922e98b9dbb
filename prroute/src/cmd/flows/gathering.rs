//! From the tables to a list: each flow is counted as it comes, and no more are kept than are listed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;

use crate::cmd::flows::Question;
use crate::cmd::flows::filter::{Facts, State, Wanted};
use crate::cmd::flows::listing::{Flows, state};
use crate::cmd::flows::names::Names;
use crate::datapath::flows::FlowRecord;
use crate::json::{FlowsSummaryJson, ServiceJson, protocol_name};

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

pub(super) struct Gathering<'a> {
    question: &'a Question,
    wanted: &'a Wanted,
    names: Names,
    kept: BinaryHeap<ByAge>,
    services: BTreeMap<(u8, IpAddr, u16), usize>,
    summary: FlowsSummaryJson,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(question: &'a Question, wanted: &'a Wanted, names: Names) -> Self {
        let (kept, services) = (BinaryHeap::new(), BTreeMap::new());
        let summary = FlowsSummaryJson::default();
        Self { question, wanted, names, kept, services, summary }
    }

    pub(super) fn take(&mut self, record: FlowRecord) {
        self.summary.total += 1;
        let state = state(&record);
        let uplink = self.names.of(&record);
        let facts = Facts {
            local: (record.local, record.local_port),
            remote: (record.remote, record.remote_port),
            uplink,
            state,
        };
        if !self.is_chosen(&record) || !self.wanted.names(&facts) {
            return;
        }
        if !self.wanted.is_about(state) {
            self.summary.hidden += 1;
            return;
        }
        let name = uplink.map_or_else(|| format!("#{}", record.uplink), str::to_owned);
        self.count(&record, state, name);
        self.kept.push(ByAge(record));
        if self.question.limit > 0 && self.kept.len() > self.question.limit {
            self.kept.pop();
        }
    }

    /// By the options.
    fn is_chosen(&self, record: &FlowRecord) -> bool {
        let Question { tcp, udp, ipv4, ipv6, .. } = *self.question;
        let is_protocol =
            (!tcp && !udp) || (tcp && record.protocol == TCP) || (udp && record.protocol == UDP);
        is_protocol && (ipv4 == ipv6 || ipv4 == record.local.is_ipv4())
    }

    fn count(&mut self, record: &FlowRecord, state: State, uplink: String) {
        let summary = &mut self.summary;
        summary.matching += 1;
        *match state {
            State::New => &mut summary.new,
            State::Ok => &mut summary.ok,
            State::Idle => &mut summary.idle,
        } += 1;
        *if record.local.is_ipv4() { &mut summary.ipv4 } else { &mut summary.ipv6 } += 1;
        *summary.uplinks.entry(uplink).or_default() += 1;
        let service = (record.protocol, record.local, record.local_port);
        let is_known = self.services.contains_key(&service);
        if record.opened_inbound && (is_known || self.services.len() < DISTINCT) {
            *self.services.entry(service).or_default() += 1;
        }
    }

    pub(super) fn end(self) -> Flows {
        let Self { question, names, kept, services, mut summary, .. } = self;
        let mut services: Vec<_> = services.into_iter().collect();
        services.sort_by_key(|(_, flows)| std::cmp::Reverse(*flows));
        services.truncate(SERVICES);
        let service = |((protocol, local, local_port), flows)| ServiceJson {
            protocol: protocol_name(protocol),
            local,
            local_port,
            flows,
        };
        summary.services = services.into_iter().map(service).collect();
        let records = kept.into_sorted_vec().into_iter().map(|ByAge(record)| record).collect();
        Flows { records, names, summary, is_limited: question.is_limited }
    }
}
