//! Protocols that this kernel has no sockets for are answered over the uplink that was asked,
//! through routers that keep state: with ports where they have them, by address pair elsewhere.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::raw::Raw;

use super::sctp::{self, Exchange};

const SCTP: u8 = 132;
const GRE: u8 = 47;
const ESP: u8 = 50;
/// For experiments (RFC 3692).
const NAMELESS: u8 = 253;

const SCTP_PORT: u16 = 3868;

/// Time for an answer that is expected, and for one that is not, in milliseconds.
const PATIENCE: i64 = 10_000;
const GLANCE: i64 = 300;

/// Three questions with their answers; `number` makes them a conversation of their own.
fn conversation(protocol: u8, number: u16) -> Vec<Exchange> {
    match protocol {
        SCTP => sctp::association(20_000 + number, SCTP_PORT),
        GRE => {
            // No checksum, key or sequence; carries Ethernet frames.
            let packet = |content: &str| [&[0, 0, 0x65, 0x58], content.as_bytes()].concat();
            (0..3).map(|_| (packet("question"), packet("answer"))).collect()
        }
        ESP => {
            // Each direction has an index of its own, and counts.
            let packet =
                |index: u8, count: u8| [&[0, 0, 1, index, 0, 0, 0, count], &[9; 32][..]].concat();
            (1..=3).map(|count| (packet(1, count), packet(2, count))).collect()
        }
        _ => (0..3).map(|_| (b"question".to_vec(), b"answer".to_vec())).collect(),
    }
}

/// Both ends of a conversation.
struct Ends {
    client: Raw,
    host: Raw,
    source: IpAddr,
    target: IpAddr,
}

impl Ends {
    fn open(lab: &Lab, protocol: u8, uplink: u8, target: IpAddr, timeout: i64) -> Result<Self> {
        let source = addressing::client(uplink, Family::of(target));
        let client = Raw::open(&lab.client, source, protocol, timeout)?;
        let host = Raw::open(&lab.host, target, protocol, PATIENCE)?;
        Ok(Self { client, host, source, target })
    }

    /// Asks, answers, and says whether the answer arrived.
    fn round(&self, (question, answer): &Exchange) -> Result<bool> {
        self.client.send(self.target, question)?;
        let asked = self.host.receive()?.context("the question did not arrive")?;
        ensure!(asked == (self.source, question.clone()), "another question: {asked:02x?}");
        self.host.send(self.source, answer)?;
        let Some(heard) = self.client.receive()? else { return Ok(false) };
        ensure!(heard == (self.target, answer.clone()), "another answer: {heard:02x?}");
        Ok(true)
    }
}

fn targets(uplink: u8, family: Family) -> [IpAddr; 2] {
    [addressing::host(uplink, family), addressing::shared(family)]
}

fn is_answered_over_every_uplink(protocol: u8) -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.meet_default_gateway()?;
    let mut number = 0;
    for family in Family::BOTH {
        for uplink in 1..=2 {
            for target in targets(uplink, family) {
                number += 1;
                let timeout = if uplink == 1 { PATIENCE } else { GLANCE };
                let ends = Ends::open(&lab, protocol, uplink, target, timeout)?;
                let answered = ends.round(&conversation(protocol, number)[0])?;
                ensure!(answered == (uplink == 1), "without prroute: {target} over {uplink}");
            }
        }
    }
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            for uplink in 1..=2 {
                for target in targets(uplink, family) {
                    number += 1;
                    let ends = Ends::open(&lab, protocol, uplink, target, PATIENCE)?;
                    for (round, exchange) in conversation(protocol, number).iter().enumerate() {
                        let answered = ends.round(exchange).with_context(|| format!("{target}"))?;
                        ensure!(answered, "{target} over {uplink}, round {round}: no answer");
                    }
                    let flows = prroute.flows(|flow| {
                        flow["protocol_number"] == protocol
                            && flow["remote"] == ends.source.to_string()
                            && flow["local"] == target.to_string()
                    })?;
                    ensure!(flows.len() == 1, "{target} over {uplink}: {flows:#?}");
                    let ports =
                        if protocol == SCTP { [SCTP_PORT, 20_000 + number] } else { [0, 0] };
                    ensure!(flows[0]["local_port"] == ports[0], "{:#?}", flows[0]);
                    ensure!(flows[0]["remote_port"] == ports[1], "{:#?}", flows[0]);
                    ensure!(flows[0]["confirmed"] == true, "in, out, in: {:#?}", flows[0]);
                }
            }
        }
        ensure!(prroute.count("redirected")? > 0, "answers from the shared address are moved");
        Ok(())
    })
}

#[test]
fn sctp_is_answered_over_every_uplink() -> Result<()> {
    is_answered_over_every_uplink(SCTP)
}

#[test]
fn gre_is_answered_over_every_uplink() -> Result<()> {
    is_answered_over_every_uplink(GRE)
}

#[test]
fn esp_is_answered_over_every_uplink() -> Result<()> {
    is_answered_over_every_uplink(ESP)
}

#[test]
fn a_protocol_without_a_name_is_answered_over_every_uplink() -> Result<()> {
    is_answered_over_every_uplink(NAMELESS)
}
