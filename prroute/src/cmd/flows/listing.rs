//! Recorded flows as a table.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use nix::unistd::Pid;

use crate::cmd::flows::Question;
use crate::cmd::flows::columns::{Columns, append, append_seconds};
use crate::cmd::flows::filter::Wanted;
use crate::cmd::flows::gathering::{Falling, Gathering};
use crate::cmd::flows::state::State;
use crate::cmd::flows::summary;
use crate::cmd::flows::uplinks::{Bound, Uplinks};
use crate::cmd::tables::tables;
use crate::datapath::flows::{self, FlowRecord};
use crate::datapath::targets::Obstacle;
use crate::instance::Instance;
use crate::json::{FlowFacts, FlowsJson, FlowsSummaryJson, protocol_name};
use crate::netlink::translated::{Original, translated};
use crate::runtime::RunDirectory;
use crate::state::uplink::UplinkId;

/// Those that were asked for, the one that was seen last first.
pub(in crate::cmd) struct Flows {
    pub(super) records: Vec<FlowRecord>,
    pub(super) uplinks: Uplinks,
    pub(super) falling: Falling,
    /// Whom flows are translated to, where that is asked for and known.
    pub(super) guests: HashMap<Original, SocketAddr>,
    pub(super) summary: FlowsSummaryJson,
    /// There may be more in the list for root.
    pub(super) is_limited: bool,
}

impl Flows {
    pub(super) fn read(
        instance: &Instance,
        daemon: Option<Pid>,
        question: &Question,
        wanted: &Wanted,
    ) -> Result<Self> {
        // Before there is a second uplink nothing is recorded.
        let Some(pins) = tables(instance, daemon)? else {
            return Ok(Gathering::new(question, wanted, Uplinks::default()).end());
        };
        let uplinks = Uplinks::read(&pins, &RunDirectory::of(instance))?;
        let mut gathering = Gathering::new(question, wanted, uplinks);
        flows::visit(&pins, |record| gathering.take(record))?;
        let mut flows = gathering.end();
        if question.extended && !question.summary {
            flows.guests = translated();
        }
        Ok(flows)
    }

    fn guest(&self, record: &FlowRecord) -> Option<SocketAddr> {
        let FlowRecord { protocol, local, local_port, remote, remote_port, .. } = *record;
        let (remote, local) =
            (SocketAddr::new(remote, remote_port), SocketAddr::new(local, local_port));
        self.guests.get(&Original { protocol, remote, local }).copied()
    }

    /// How many there are that were asked for, and are not in the list.
    fn left_out(&self) -> usize {
        self.summary.matching - self.records.len()
    }

    pub(super) fn json(&self, is_summary: bool) -> FlowsJson<'_> {
        let facts = |record: &FlowRecord| {
            let Bound { name, obstacle } = self.uplinks.of(record);
            let state = State::of(record, obstacle);
            let obstacle = obstacle.filter(|_| state == State::Fall).map(Obstacle::name);
            let guest = self.guest(record);
            FlowFacts { state: state.name(), uplink_name: name, obstacle, guest }
        };
        let records: &[FlowRecord] = if is_summary { &[] } else { &self.records };
        let left_out = if is_summary { self.summary.matching } else { self.left_out() };
        FlowsJson::of(records, facts, left_out, self.summary.clone())
    }

    pub(super) fn text(&self, is_summary: bool) -> String {
        if is_summary { summary::text(&self.summary) + &self.fallen() } else { self.table() }
    }

    fn table(&self) -> String {
        const HEADER: [&str; 7] =
            ["STATE", "PROTO", "LOCAL", "REMOTE", "OPENED", "UPLINK", "IDLE s"];
        let guest = |record: &FlowRecord, cell: &mut String| {
            if let Some(guest) = self.guest(record) {
                append_end(cell, guest.ip(), guest.port());
            }
        };
        let mut text = if self.guests.is_empty() {
            self.rows(HEADER, |_, _| {})
        } else {
            let [state, protocol, local, remote, opened, uplink, idle] = HEADER;
            let header = [state, protocol, local, remote, opened, uplink, "GUEST", idle];
            self.rows(header, guest)
        };
        text += &format!("{}\n{}", self.last_line(), self.fallen());
        text
    }

    /// A row for each flow; `extra` writes a column that the header may have before the last one.
    fn rows<const N: usize>(
        &self,
        header: [&str; N],
        extra: impl Fn(&FlowRecord, &mut String),
    ) -> String {
        let mut table = Columns::new(header);
        for record in &self.records {
            let Bound { name, obstacle } = self.uplinks.of(record);
            let state = State::of(record, obstacle);
            table.row(|column, cell| match column {
                0 => cell.push_str(state.name()),
                1 => cell.push_str(&protocol_name(record.protocol)),
                2 => append_end(cell, record.local, record.local_port),
                3 => append_end(cell, record.remote, record.remote_port),
                4 => cell.push_str(if record.opened_inbound { "inbound" } else { "by host" }),
                5 => match name {
                    Some(name) => cell.push_str(name),
                    None => append(cell, format_args!("#{} (gone)", record.uplink)),
                },
                _ if column + 1 == N => append_seconds(cell, record.idle_seconds),
                _ => extra(record, cell),
            });
        }
        table.text()
    }

    fn last_line(&self) -> String {
        let FlowsSummaryJson { matching, hidden, hidden_fin, .. } = self.summary;
        let mut line = format!("{matching} flows");
        let parts = summary::by_state(&self.summary);
        if !parts.is_empty() {
            line += &format!(" ({parts})");
        }
        if self.left_out() > 0 {
            let how = if self.is_limited { "root may see them" } else { "-n 0 shows all" };
            line += &format!(", {} of them not shown ({how})", self.left_out());
        }
        if hidden > 0 {
            let idle = hidden - hidden_fin;
            let parts = [(idle, "idle"), (hidden_fin, "closed")];
            let parts = summary::counted(parts).join(" and ");
            line += &format!("; {parts} ones not shown (state all)");
        }
        line
    }

    /// Why flows follow the routing tables, a line for each uplink.
    fn fallen(&self) -> String {
        let line = |((id, obstacle), flows): (&(UplinkId, Obstacle), &usize)| {
            let name = self.uplinks.name(*id, *obstacle != Obstacle::Gone);
            let why = match obstacle {
                Obstacle::Gone => "is gone, or another device",
                Obstacle::Down => "is down",
                Obstacle::NoNextHop => "has no gateway for them",
                Obstacle::Off => "has reply = \"off\"",
            };
            let is_held =
                self.uplinks.holds(*id) && matches!(obstacle, Obstacle::Down | Obstacle::NoNextHop);
            let what = if is_held { "wait for it" } else { "follow the routing tables" };
            format!("! fall: {name} {why}: {flows} flows {what}\n")
        };
        self.falling.iter().map(line).collect()
    }
}

/// An address, and a port unless that is 0.
pub(super) fn append_end(cell: &mut String, address: IpAddr, port: u16) {
    match port {
        0 => append(cell, address),
        port => append(cell, SocketAddr::new(address, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::flows::gathering::{TCP, UDP};

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
            closed: false,
            is_over: false,
            uplink: UplinkId(1),
            generation: 1,
            router: 0,
            idle_seconds,
        }
    }

    fn listing(question: &Question) -> Flows {
        let over = FlowRecord { is_over: true, ..record(TCP, "192.0.2.1", 22, 9_000.0) };
        let new = FlowRecord { confirmed: false, ..record(UDP, "192.0.2.1", 53, 1.0) };
        let closed = FlowRecord { closed: true, ..record(TCP, "192.0.2.1", 443, 2.0) };
        let records = vec![over, record(TCP, "192.0.2.1", 80, 5.0), new, closed];
        let wanted = Wanted::parse(&question.filter).unwrap();
        let mut gathering = Gathering::new(question, &wanted, Uplinks::one("eth0"));
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
            text.ends_with(
                "\n2 flows (1 ok, 1 new); 1 idle and 1 closed ones not shown (state all)\n"
            ),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn a_limit_shortens_the_list_and_not_what_it_comes_to() {
        let all = "state all".to_owned();
        let flows = listing(&Question { limit: 1, filter: all, ..Question::default() });
        assert_eq!((flows.records[0].local_port, flows.left_out()), (53, 3));
        let told = "4 flows (1 ok, 1 new, 1 fin, 1 idle), 3 of them not shown (-n 0 shows all)\n";
        assert!(flows.text(false).ends_with(told), "{}", flows.text(false));
        let summary = flows.text(true);
        assert!(summary.contains("tcp 192.0.2.1:22 1") && summary.contains("IPv4 4, IPv6 0"));
    }

    #[test]
    fn options_choose_protocol_and_family() {
        let tcp = listing(&Question { tcp: true, ..Question::default() });
        assert_eq!((tcp.summary.matching, tcp.summary.total), (1, 4));
        let both = listing(&Question { tcp: true, udp: true, ipv4: true, ..Question::default() });
        assert_eq!(both.summary.matching, 2);
        let v6 = listing(&Question { ipv6: true, ..Question::default() });
        assert_eq!(v6.summary.matching, 0);
        assert!(v6.text(false).ends_with("\n0 flows\n"));
    }

    /// A flow of uplink 2, which is unknown, and one of uplink 1.
    #[test]
    fn flows_whose_uplink_is_unusable_are_told_apart_with_the_reason() {
        let question = Question::default();
        let wanted = Wanted::parse("").unwrap();
        let gone = FlowRecord { uplink: UplinkId(2), ..record(TCP, "192.0.2.1", 80, 1.0) };
        let by_host = FlowRecord { opened_inbound: false, ..gone.clone() };
        let take = |uplinks: Uplinks| {
            let mut gathering = Gathering::new(&question, &wanted, uplinks);
            let records = [gone.clone(), by_host.clone(), record(TCP, "192.0.2.1", 22, 2.0)];
            records.into_iter().for_each(|record| gathering.take(record));
            gathering.end()
        };
        let flows = take(Uplinks::one("eth0"));
        assert_eq!((flows.summary.fall, flows.summary.ok), (1, 2), "the host's own is not moved");
        let text = flows.text(false);
        let told = "3 flows (2 ok, 1 fall)\n\
                    ! fall: #2 is gone, or another device: 1 flows follow the routing tables\n";
        assert!(text.ends_with(told), "{text}");
        let json = serde_json::to_value(flows.json(false)).unwrap();
        assert_eq!(json["flows"][0]["state"], "fall");
        assert_eq!(json["flows"][0]["obstacle"], "uplink_gone");
        assert_eq!(json["flows"][1]["obstacle"], serde_json::Value::Null);

        let flows = take(Uplinks::down("eth0"));
        assert_eq!((flows.summary.fall, flows.summary.ok), (2, 1));
        let told = "! fall: eth0 is down: 1 flows follow the routing tables\n";
        assert!(flows.text(true).contains(told), "{}", flows.text(true));
    }

    #[test]
    fn a_guest_has_a_column_where_one_is_known() {
        let mut flows = listing(&Question::default());
        assert!(!flows.text(false).contains("GUEST"));
        let original = Original {
            protocol: TCP,
            remote: "198.51.100.7:40000".parse().unwrap(),
            local: "192.0.2.1:80".parse().unwrap(),
        };
        flows.guests.insert(original, "172.17.0.2:8080".parse().unwrap());
        let text = flows.text(false);
        let with: Vec<&str> = text.lines().filter(|line| line.contains("172.17.0.2")).collect();
        assert!(text.contains("GUEST") && with.len() == 1, "{text}");
        assert!(with[0].ends_with(" eth0   172.17.0.2:8080    5.0"), "{text}");
        let json = serde_json::to_value(flows.json(false)).unwrap();
        assert_eq!(json["flows"][0]["guest"], serde_json::Value::Null);
        assert_eq!(json["flows"][1]["guest"], "172.17.0.2");
        assert_eq!(json["flows"][1]["guest_port"], 8080);
    }
}
