//! What is decided, fact by fact. Rule numbers are those of the design: R1 reply on ingress,
//! R3 nothing else is touched.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails its test")]

mod datagrams;
mod entry;
mod leaving;
mod moving;
mod opening;
mod reuse;
mod routers;

use prroute_common::flow::Flow;
use prroute_ebpf::parse::{Kind, Numbers, protocol};
use prroute_ebpf::verdict::{Arrival, Departure, Known, Locality, Place};

const HERE: Place = Place { uplink: 1, generation: 1 };
const ELSEWHERE: Place = Place { uplink: 2, generation: 1 };
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
fn flow(place: Place, idle: u32) -> Flow {
    Flow::inbound(place.uplink, place.generation, NOW - idle)
}

fn known(flow: Flow, confirmed: bool) -> Option<Known> {
    Some(Known { flow, origin: flow.origin().unwrap(), confirmed, is_aged: false })
}

fn own(place: Place, idle: u32) -> Flow {
    Flow::by_host(place.uplink, place.generation, NOW - idle)
}

fn arrival(kind: Kind, acknowledgement: Option<u32>) -> Arrival {
    let protocol = match kind {
        Kind::TcpOpening | Kind::TcpAnswer | Kind::TcpReset | Kind::Tcp => protocol::TCP,
        _ => protocol::UDP,
    };
    Arrival {
        kind,
        protocol,
        tcp: Numbers {
            sequence: 0,
            acknowledgement: acknowledgement.unwrap_or_default(),
            acknowledges: acknowledgement.is_some(),
        },
        payload: 0,
        destination: Locality::Shared,
        here: HERE,
        router: 0,
        to_client_port: false,
        now: NOW,
    }
}

fn departure(kind: Kind, sequence: u32, payload: u32) -> Departure {
    Departure {
        kind,
        tcp: Numbers { sequence, acknowledgement: 0, acknowledges: true },
        payload,
        source: Locality::Shared,
        here: HERE,
        forwarded: false,
        from_client_port: false,
        now: NOW,
    }
}
