//! The flow that is asked about: as the programs have recorded it, or as a socket has it.

use std::net::SocketAddr;

use anyhow::Result;

use super::address::holders;
use super::question::{ICMP, ICMPV6, Question, TCP};
use super::uplink::Uplinks;
use crate::datapath::flows::{self, FlowRecord};
use crate::examine::Examination;
use crate::netlink::sock_diag;
use crate::state::uplink::{Ifindex, UplinkId};

/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// Nobody knows the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no flow between {local} and {client} is known: none is recorded (`prroute flows` lists those that \
     are), and no TCP socket has it"
)]
pub(super) struct NoFlow {
    local: SocketAddr,
    client: SocketAddr,
}

/// The flow is bound to an uplink that there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the flow is bound to uplink {0}, which is gone: its replies go where routing sends them; `iif` asks \
     about another uplink"
)]
struct Unbound(UplinkId);

/// A question about a flow, with its protocol and uplink.
///
/// # Errors
///
/// When there is none, or the flow tables cannot be read.
pub(super) fn found(examined: &Examination, question: Question) -> Result<Question> {
    if !question.is_flow {
        return Ok(question);
    }
    let uplinks = Uplinks(&examined.outlook.uplinks);
    let mut records = Vec::new();
    if examined.in_force.is_this() {
        flows::visit(&examined.pins, |record| {
            if is_it(&question, &record) {
                records.push(record);
            }
        })?;
    }
    records.sort_by_key(|record| (record.is_over, !record.confirmed));
    if let Some(record) = records.first() {
        let found = recorded(&question, record, uplinks);
        return match found.iif {
            Some(_) => Ok(found),
            None => Err(Unbound(record.uplink).into()),
        };
    }
    let observed = &examined.outlook.observed;
    let owner = holders(observed, question.local.ip());
    let (client, local) = (question.client, question.local);
    let is_tcp = question.protocol.is_none_or(|protocol| protocol == TCP);
    let on = owner.first().copied().unwrap_or(Ifindex(0));
    let socket = match is_tcp {
        true => sock_diag::hearing(TCP, (client, local), on).ok().flatten(),
        false => None,
    };
    match (socket, question.protocol) {
        (Some(socket), _) if socket.state != LISTEN => {
            let uplink = match owner.as_slice() {
                [owner] => uplinks.of(*owner).map(|uplink| uplink.device.name.clone()),
                _ => None,
            };
            Ok(Question { protocol: Some(TCP), iif: question.iif.clone().or(uplink), ..question })
        }
        _ => Err(NoFlow { local, client }.into()),
    }
}

fn is_it(question: &Question, record: &FlowRecord) -> bool {
    let Question { protocol, client, local, .. } = question;
    let is_echo = matches!(record.protocol, ICMP | ICMPV6);
    let client_port = if is_echo { 0 } else { client.port() };
    protocol.is_none_or(|protocol| protocol == record.protocol)
        && (record.local, record.local_port) == (local.ip(), local.port())
        && (record.remote, record.remote_port) == (client.ip(), client_port)
}

fn recorded(question: &Question, record: &FlowRecord, uplinks: Uplinks<'_>) -> Question {
    let uplink = uplinks.with_id(record.uplink.0).map(|uplink| uplink.device.name.clone());
    let mut client = question.client;
    if matches!(record.protocol, ICMP | ICMPV6) {
        client.set_port(record.local_port);
    }
    Question {
        protocol: Some(record.protocol),
        iif: question.iif.clone().or(uplink),
        client,
        ..question.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, two_networks};

    fn record(protocol: u8, local_port: u16, remote_port: u16) -> FlowRecord {
        FlowRecord {
            protocol,
            local: ip("198.51.100.10"),
            local_port,
            remote: ip("203.0.113.11"),
            remote_port,
            opened_inbound: true,
            answered: true,
            confirmed: true,
            closed: false,
            is_over: false,
            uplink: UplinkId(2),
            generation: 1,
            router: 0,
            idle_seconds: 0.0,
        }
    }

    fn question(words: &str) -> Question {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Question::parse(&words, None).unwrap()
    }

    #[test]
    fn a_recorded_flow_tells_its_protocol_and_uplink() {
        let host = two_networks();
        let uplinks = host.uplinks();
        let asked = question("flow 198.51.100.10:8080 203.0.113.11:40000");
        let record = record(TCP, 8080, 40_000);
        assert!(is_it(&asked, &record));
        let found = recorded(&asked, &record, Uplinks(&uplinks));
        assert_eq!((found.protocol, found.iif.as_deref()), (Some(TCP), Some("eth1")));
        let other = question("flow udp 198.51.100.10:8080 203.0.113.11:40000");
        assert!(!is_it(&other, &record));
    }

    #[test]
    fn of_an_echo_the_identifier_is_both_ends_port() {
        let asked = question("flow icmp 198.51.100.10:77 203.0.113.11");
        let record = record(ICMP, 77, 0);
        assert!(is_it(&asked, &record));
        assert_eq!(recorded(&asked, &record, Uplinks(&[])).client.port(), 77);
    }
}
