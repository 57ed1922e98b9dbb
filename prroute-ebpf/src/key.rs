//! Segment to flow key: local is what lies on this host's side of the uplinks.

use crate::family::Family;
use crate::parse::outline::Outline;
use crate::parse::{Kind, Segment};

/// Key of the flow that a packet coming in belongs to.
#[inline(always)]
pub fn inbound<F: Family>(segment: &Segment<F::Address>) -> F::Key {
    F::key(
        segment.destination,
        segment.source,
        segment.destination_port,
        remote_port(segment.kind, segment.source_port),
        segment.protocol,
    )
}

/// Key of the flow that a packet going out belongs to.
#[inline(always)]
pub fn outbound<F: Family>(segment: &Segment<F::Address>) -> F::Key {
    F::key(
        segment.source,
        segment.destination,
        segment.source_port,
        remote_port(segment.kind, segment.destination_port),
        segment.protocol,
    )
}

/// Likewise, at first look.
#[inline(always)]
pub fn inbound_outline<F: Family>(outline: &Outline<F::Address>) -> F::Key {
    let ports = outline.ports.rotate_left(16);
    F::key_of_words(outline.destination, outline.source, ports, outline.kind.protocol())
}

/// Likewise, at first look.
#[inline(always)]
pub fn outbound_outline<F: Family>(outline: &Outline<F::Address>) -> F::Key {
    let protocol = outline.kind.protocol();
    F::key_of_words(outline.source, outline.destination, outline.ports, protocol)
}

/// Echo has one identifier, kept as the port of the side that is asked. Only flows in which the
/// host is asked are looked up, so its own pings never share a key with somebody else's.
#[inline(always)]
fn remote_port(kind: Kind, port: [u8; 2]) -> [u8; 2] {
    match kind {
        Kind::EchoRequest | Kind::EchoReply => [0; 2],
        _ => port,
    }
}
