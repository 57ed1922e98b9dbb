//! The programs' own answers, for a request and its reply: one rehearsal for each uplink that is asked about.

use anyhow::Result;
use prroute_common::trace::Verdict;

use super::program::{Decision, NextHop, Outcome};
use super::question::{ICMP, ICMPV6, Question, TCP};
use crate::causes::with_causes;
use crate::datapath::rehearsal::{Kind, Packet, Rehearsal, Rehearsed};
use crate::datapath::{DatapathError, Pins};
use crate::state::uplink::Ifindex;

/// Both programs, or why they cannot be asked.
pub(super) struct Rehearser {
    rehearsal: Result<Rehearsal, String>,
    request: Packet,
}

impl Rehearser {
    /// # Errors
    ///
    /// When this process may not ask them.
    pub(super) fn load(pins: &Pins, question: &Question) -> Result<Self> {
        let request = packet(question);
        let loaded = Rehearsal::load(pins).and_then(|mut rehearsal| {
            rehearsal.begin(&request)?;
            Ok(rehearsal)
        });
        let rehearsal = match loaded {
            Err(error) if error.is_permission_denied() => return Err(error.into()),
            loaded => loaded.map_err(told),
        };
        Ok(Self { rehearsal, request })
    }

    /// The request comes in, from a sender with this link-layer address.
    pub(super) fn comes_in(
        &mut self,
        on: Ifindex,
        from: Option<[u8; 6]>,
    ) -> Result<Decision, String> {
        let rehearsal = self.rehearsal.as_mut().map_err(|why| why.clone())?;
        rehearsal.comes_in(on, from, &self.request).map(decision).map_err(told)
    }

    /// The reply is about to leave, to a next hop with this link-layer address.
    pub(super) fn leaves(
        &mut self,
        by: Ifindex,
        forwarded: Option<Ifindex>,
        to: Option<[u8; 6]>,
    ) -> Result<Decision, String> {
        let rehearsal = self.rehearsal.as_mut().map_err(|why| why.clone())?;
        let reply = self.request.reply();
        rehearsal.leaves(by, forwarded, to, &reply).map(decision).map_err(told)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands for the error of a result")]
fn told(error: DatapathError) -> String {
    format!("the programs cannot be asked: {}", with_causes(&error))
}

fn packet(question: &Question) -> Packet {
    let kind = match question.number() {
        TCP if question.is_flow => Kind::TcpSegment,
        TCP => Kind::Syn,
        ICMP | ICMPV6 => Kind::EchoRequest,
        _ => Kind::Datagram,
    };
    Packet {
        protocol: question.number(),
        kind,
        source: question.client.ip(),
        source_port: question.client.port(),
        destination: question.local.ip(),
        destination_port: question.local.port(),
    }
}

fn decision(rehearsed: Rehearsed) -> Decision {
    let counted = rehearsed.counted.iter().map(|(uplink, reason)| (uplink.0, *reason)).collect();
    let Some(decision) = rehearsed.decision else {
        return Decision { counted, ..Decision::NONE };
    };
    Decision {
        outcome: match decision.verdict {
            Verdict::Passed | Verdict::Refused => Outcome::Stays,
            Verdict::Moved => Outcome::Moves,
            Verdict::Held | Verdict::Dropped | Verdict::Told => Outcome::Drops,
        },
        about_flow: decision.about_flow,
        flow_on: decision.flow_on.map(|id| id.0),
        target: decision.target.map(|id| id.0),
        next_hop: decision.next_hop.unwrap_or(NextHop::AsItIs),
        reason: decision.reason,
        is_observed: decision.observed,
        counted,
    }
}
