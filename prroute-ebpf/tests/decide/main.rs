//! What is decided, fact by fact. Rule numbers are those of the design: R1 reply on ingress,
//! R3 nothing else is touched.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails its test")]

mod closing;
mod datagrams;
mod delivery;
mod entry;
mod fast;
mod leaving;
mod moving;
mod opening;
mod reuse;
mod routers;

use prroute_common::flow::Flow;
use prroute_ebpf::decide::{FlowEntry, InboundPacket, Locality, OutboundPacket, UplinkRef};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags, protocol};

const HERE: UplinkRef = UplinkRef { id: 1, generation: 1 };
const ELSEWHERE: UplinkRef = UplinkRef { id: 2, generation: 1 };
const NOW: u32 = 100_000_000;
const KINDS: [Kind; 8] = [
    Kind::TcpOpening,
    Kind::TcpAnswer,
    Kind::TcpReset,
    Kind::Tcp,
    Kind::EchoRequest,
    Kind::EchoReply,
    Kind::Datagram,
    Kind::Error,
];

/// An inbound flow at `place` that had its last packet in `idle` ticks ago.
fn flow(place: UplinkRef, idle: u32) -> Flow {
    Flow::inbound(place.id, place.generation, NOW - idle)
}

fn known(flow: Flow, confirmed: bool) -> Option<FlowEntry> {
    Some(FlowEntry { flow, origin: flow.origin().unwrap(), confirmed, is_aged: false })
}

fn own(place: UplinkRef, idle: u32) -> Flow {
    Flow::by_host(place.id, place.generation, NOW - idle)
}

fn arrival(kind: Kind, acknowledgement: Option<u32>) -> InboundPacket {
    let protocol = match kind {
        Kind::TcpOpening | Kind::TcpAnswer | Kind::TcpReset | Kind::Tcp => protocol::TCP,
        _ => protocol::UDP,
    };
    InboundPacket {
        kind,
        protocol,
        tcp: Numbers {
            sequence: 0,
            acknowledgement: acknowledgement.unwrap_or_default(),
            flags: TcpFlags::new(acknowledgement.is_some(), false),
        },
        payload: 0,
        destination: Locality::Shared,
        here: HERE,
        router: 0,
        to_client_port: false,
        now: NOW,
    }
}

fn departure(kind: Kind, sequence: u32, payload: u32) -> OutboundPacket {
    OutboundPacket {
        kind,
        tcp: Numbers { sequence, acknowledgement: 0, flags: TcpFlags::new(true, false) },
        payload,
        source: Locality::Shared,
        here: HERE,
        leaves_by: HERE,
        forwarded: false,
        from_client_port: false,
        now: NOW,
    }
}
