//! Recorded flows as a table, and what they come to.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::cmd::flows::Question;
use crate::cmd::flows::filter::{State, Wanted};
use crate::cmd::flows::gathering::Gathering;
use crate::cmd::flows::names::Names;
use crate::datapath::Pins;
use crate::datapath::flows::{self, FlowRecord};
use crate::instance::Instance;
use crate::json::{FlowsJson, FlowsSummaryJson, ServiceJson, protocol_name};
use crate::runtime::RunDirectory;

/// Those that were asked for, the one that was seen last first.
pub(in crate::cmd) struct Flows {
    pub(super) records: Vec<FlowRecord>,
    pub(super) names: Names,
    pub(super) summary: FlowsSummaryJson,
    /// There may be more in the list for root.
    pub(super) is_limited: bool,
}

/// How a flow stands.
pub(super) fn state(record: &FlowRecord) -> State {
    match record {
        FlowRecord { is_over: true, .. } => State::Idle,
        FlowRecord { confirmed: true, .. } => State::Ok,
        _ => State::New,
    }
}

impl Flows {
    pub(super) fn read(instance: &Instance, question: &Question, wanted: &Wanted) -> Result<Self> {
        let pins = Pins::of(instance);
        // Before there is a second uplink nothing is recorded.
        if !pins.exists() {
            return Ok(Gathering::new(question, wanted, Names::default()).end());
        }
        let names = Names::read(&pins, &RunDirectory::of(instance))?;
        let mut gathering = Gathering::new(question, wanted, names);
        flows::visit(&pins, |record| gathering.take(record))?;
        Ok(gathering.end())
    }

    /// How many there are that were asked for, and are not in the list.
    fn left_out(&self) -> usize {
        self.summary.matching - self.records.len()
    }

    pub(super) fn json(&self, is_summary: bool) -> FlowsJson {
        let flow = |record: &FlowRecord| (state(record).name(), self.names.of(record));
        let records: &[FlowRecord] = if is_summary { &[] } else { &self.records };
        let left_out = if is_summary { self.summary.matching } else { self.left_out() };
        FlowsJson::of(records, flow, left_out, self.summary.clone())
    }

    pub(super) fn text(&self, is_summary: bool) -> String {
        if is_summary { summary_text(&self.summary) } else { self.table() }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["STATE", "PROTO", "LOCAL", "REMOTE", "OPENED", "UPLINK", "IDLE s"]);
        if let Some(idle) = table.column_mut(6) {
            idle.set_cell_alignment(CellAlignment::Right);
        }
        begin_at_the_edge(&mut table);
        for record in &self.records {
            table.add_row([
                state(record).name().to_owned(),
                protocol_name(record.protocol).into_owned(),
                endpoint(record.local, record.local_port),
                endpoint(record.remote, record.remote_port),
                if record.opened_inbound { "inbound" } else { "by host" }.to_owned(),
                match self.names.of(record) {
                    Some(name) => name.to_owned(),
                    None => format!("#{} (gone)", record.uplink),
                },
                format!("{:.1}", record.idle_seconds),
            ]);
        }
        format!("{}\n{}\n", table.trim_fmt(), self.last_line())
    }

    fn last_line(&self) -> String {
        let FlowsSummaryJson { matching, new, ok, idle, hidden, .. } = self.summary;
        let parts = [(ok, "ok"), (new, "new"), (idle, "idle")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let mut line = format!("{matching} flows");
        if !parts.is_empty() {
            line += &format!(" ({})", parts.join(", "));
        }
        if self.left_out() > 0 {
            let how = if self.is_limited { "root may see them" } else { "-n 0 shows all" };
            line += &format!(", {} of them not shown ({how})", self.left_out());
        }
        if hidden > 0 {
            line += &format!("; {hidden} idle ones not shown (state all)");
        }
        line
    }
}

fn summary_text(summary: &FlowsSummaryJson) -> String {
    let FlowsSummaryJson { total, matching, new, ok, idle, ipv4, ipv6, uplinks, services, .. } =
        summary;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, what: String| {
        table.add_row([name.to_owned(), what]);
    };
    row("flows", format!("{matching} ({ok} ok, {new} new, {idle} idle) of {total} recorded"));
    row("families", format!("IPv4 {ipv4}, IPv6 {ipv6}"));
    for (place, (name, flows)) in uplinks.iter().enumerate() {
        row(if place == 0 { "uplinks" } else { "" }, format!("{name} {flows}"));
    }
    for (place, service) in services.iter().enumerate() {
        let ServiceJson { protocol, local, local_port, flows } = service;
        let local = endpoint(*local, *local_port);
        row(if place == 0 { "services" } else { "" }, format!("{protocol} {local} {flows}"));
    }
    begin_at_the_edge(&mut table);
    format!("{}\n", table.trim_fmt())
}

fn begin_at_the_edge(table: &mut Table) {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
}

fn endpoint(address: IpAddr, port: u16) -> String {
    match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::flows::gathering::{TCP, UDP};
    use crate::state::uplink::UplinkId;

    fn record(protocol: u8, local: &str, port: u16, idle_seconds: f64) -> FlowRecord {
        FlowRecord {
            protocol,
            local: local.parse().unwrap(),
            local_port: port,
            remote: "198.51.100.7".parse().unwrap(),
            remote_port: 40_000,
            opened_inbound: true,
            answered: true,
            confirmed: true,
            is_over: false,
            uplink: UplinkId(1),
            generation: 1,
            idle_seconds,
        }
    }

    fn listing(question: &Question) -> Flows {
        let over = FlowRecord { is_over: true, ..record(TCP, "192.0.2.1", 22, 9_000.0) };
        let new = FlowRecord { confirmed: false, ..record(UDP, "192.0.2.1", 53, 1.0) };
        let records = vec![over, record(TCP, "192.0.2.1", 80, 5.0), new];
        let wanted = Wanted::parse(&question.filter).unwrap();
        let mut gathering = Gathering::new(question, &wanted, Names::default());
        records.into_iter().for_each(|record| gathering.take(record));
        gathering.end()
    }

    #[test]
    fn what_lives_is_listed_and_the_rest_is_counted() {
        let flows = listing(&Question::default());
        let ports: Vec<u16> = flows.records.iter().map(|record| record.local_port).collect();
        assert_eq!(ports, [53, 80], "the one seen last first");
        let text = flows.text(false);
        assert!(
            text.ends_with("\n2 flows (1 ok, 1 new); 1 idle ones not shown (state all)\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn a_limit_shortens_the_list_and_not_what_it_comes_to() {
        let all = "state all".to_owned();
        let flows = listing(&Question { limit: 1, filter: all, ..Question::default() });
        assert_eq!((flows.records[0].local_port, flows.left_out()), (53, 2));
        assert!(flows.text(false).contains("3 flows (1 ok, 1 new, 1 idle), 2 of them not shown"));
        let summary = flows.text(true);
        assert!(summary.contains("tcp 192.0.2.1:22 1") && summary.contains("IPv4 3, IPv6 0"));
    }

    #[test]
    fn options_choose_protocol_and_family() {
        let tcp = listing(&Question { tcp: true, ..Question::default() });
        assert_eq!((tcp.summary.matching, tcp.summary.total), (1, 3));
        let both = listing(&Question { tcp: true, udp: true, ipv4: true, ..Question::default() });
        assert_eq!(both.summary.matching, 2);
        let v6 = listing(&Question { ipv6: true, ..Question::default() });
        assert_eq!(v6.summary.matching, 0);
        assert!(v6.text(false).ends_with("\n0 flows\n"));
    }
}
