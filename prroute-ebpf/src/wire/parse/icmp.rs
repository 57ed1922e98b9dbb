//! ICMP errors: they belong to the flow of the packet they quote.

use network_types::icmp::Icmpv4Hdr;
use network_types::ip::Ipv4Hdr;

use super::extension;
use super::{FirstFragment, Ipv6, Kind, NotParsed, Numbers, Parsed, Segment, protocol};
use crate::wire::packet::Packet;
use crate::wire::{Address4, Address6};

/// The whole header is read: a single byte's bound the compiler writes in a way that the
/// verifier does not follow.
#[inline(always)]
fn type_of<P: Packet>(packet: &P, offset: usize) -> Option<u8> {
    packet.read::<Icmpv4Hdr>(offset).map(|icmp| icmp.type_)
}

/// Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792).
#[inline(always)]
pub(super) fn is_error4<P: Packet>(packet: &P, offset: usize) -> bool {
    type_of(packet, offset).is_some_and(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12))
}

/// Error messages have a type below 128 (RFC 4443, 2.1).
#[inline(always)]
pub(super) fn is_error6<P: Packet>(packet: &P, offset: usize) -> bool {
    type_of(packet, offset).is_some_and(|kind| kind < 128)
}

/// Reads an error at `offset` that `sender` sent to `receiver`.
#[inline(always)]
pub(super) fn error4<P: Packet>(
    packet: &P,
    offset: usize,
    sender: Address4,
    receiver: Address4,
) -> Parsed<Address4> {
    let at = offset + Icmpv4Hdr::LEN;
    let quoted: Ipv4Hdr = packet.read(at).ok_or(NotParsed::Malformed)?;
    let header = (quoted.vihl & 0x0f) as usize * 4;
    if quoted.vihl >> 4 != 4 || header < Ipv4Hdr::LEN {
        return Err(NotParsed::Malformed);
    }
    // The error must be for whom the packet was from; a later fragment quotes no ports.
    let is_later = u16::from_be_bytes(quoted.frags) & 0x1fff != 0;
    if u32::from_ne_bytes(quoted.src_addr) != receiver || is_later {
        return Err(NotParsed::NotOurs);
    }
    let (local_port, remote_port) = ports(packet, at + header, quoted.proto)?;
    let local = u32::from_ne_bytes(quoted.dst_addr);
    Ok(answer(local, receiver, local_port, remote_port, quoted.proto, sender))
}

/// Reads an error at `offset` that `sender` sent to `receiver`.
#[inline(always)]
pub(super) fn error6<P: Packet>(
    packet: &P,
    offset: usize,
    sender: Address6,
    receiver: Address6,
) -> Parsed<Address6> {
    let at = offset + Icmpv4Hdr::LEN;
    let quoted = Ipv6::read(packet, at).ok_or(NotParsed::Malformed)?;
    if quoted.source != receiver {
        return Err(NotParsed::NotOurs);
    }
    let walked = extension::walk(packet, at, quoted.next_header).ok_or(NotParsed::Malformed)?;
    if walked.fragment().is_some_and(|fragment| fragment.is_later) {
        return Err(NotParsed::NotOurs);
    }
    let (local_port, remote_port) = ports(packet, at + walked.length, walked.protocol)?;
    Ok(answer(quoted.destination, receiver, local_port, remote_port, walked.protocol, sender))
}

#[inline(always)]
fn answer<A>(
    local: A,
    remote: A,
    local_port: [u8; 2],
    remote_port: [u8; 2],
    protocol: u8,
    sender: A,
) -> Segment<A> {
    Segment {
        source: local,
        destination: remote,
        source_port: local_port,
        destination_port: remote_port,
        protocol,
        kind: Kind::Error,
        headers: 0,
        transport: 0,
        tcp: Numbers::default(),
        first_fragment: FirstFragment::NONE,
        sender,
    }
}

/// Local and remote port of the flow that a quoted packet opened or continued.
#[inline(always)]
fn ports<P: Packet, A>(
    packet: &P,
    offset: usize,
    protocol: u8,
) -> Result<([u8; 2], [u8; 2]), NotParsed<A>> {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            let [s0, s1, d0, d1]: [u8; 4] = packet.read(offset).ok_or(NotParsed::Malformed)?;
            Ok(([d0, d1], [s0, s1]))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let icmp: Icmpv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            let request = if protocol == protocol::ICMP { 8 } else { 128 };
            if icmp.type_ != request {
                return Err(NotParsed::NotOurs);
            }
            let [i0, i1, ..] = icmp.data;
            // As in the key of echo: the identifier is the port of the side that is asked.
            Ok(([i0, i1], [0; 2]))
        }
        _ => Ok(([0; 2], [0; 2])),
    }
}
