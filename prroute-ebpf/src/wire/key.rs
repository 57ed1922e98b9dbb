//! Headers to the key of a flow: local is what lies on this host's side of the uplinks.

use super::Wire;
use super::fast_headers::{FastHeaders, FastL4};
use super::parse::{Kind, Segment};

/// Two ports in one word, as they lie in a key.
#[inline(always)]
fn ports(local: [u8; 2], remote: [u8; 2]) -> u32 {
    u32::from_ne_bytes([local[0], local[1], remote[0], remote[1]])
}

/// The ports of the flow that a packet coming in belongs to: the local one, then the remote one.
#[inline(always)]
pub fn inbound_ports<A>(segment: &Segment<A>) -> u32 {
    ports(segment.destination_port, remote_port(segment.kind, segment.source_port))
}

/// Likewise of a packet going out.
#[inline(always)]
pub fn outbound_ports<A>(segment: &Segment<A>) -> u32 {
    ports(segment.source_port, remote_port(segment.kind, segment.destination_port))
}

/// Key of the flow that a packet coming in belongs to.
#[inline(always)]
pub fn inbound<F: Wire>(segment: &Segment<F::Address>) -> F::Key {
    F::key(segment.destination, segment.source, inbound_ports(segment), segment.protocol)
}

/// Key of the flow that a packet going out belongs to.
#[inline(always)]
pub fn outbound<F: Wire>(segment: &Segment<F::Address>) -> F::Key {
    F::key(segment.source, segment.destination, outbound_ports(segment), segment.protocol)
}

/// [`inbound`], of fast headers.
#[inline(always)]
pub fn inbound_fast<F: Wire>(headers: &FastHeaders<F::Address>) -> F::Key {
    // An echo identifier lies where the source port does, and is the local one either way.
    let ports = if headers.l4.is_echo() { headers.ports } else { headers.ports.rotate_left(16) };
    F::key(headers.destination, headers.source, ports, headers.protocol)
}

/// [`outbound`], of fast headers.
#[inline(always)]
pub fn outbound_fast<F: Wire>(headers: &FastHeaders<F::Address>) -> F::Key {
    F::key(headers.source, headers.destination, headers.ports, headers.protocol)
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

impl FastL4 {
    #[inline(always)]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::EchoRequest | Self::EchoReply)
    }
}
