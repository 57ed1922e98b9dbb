//! The headers of plain packets, for the fast path: a whole TCP segment, datagram or echo message
//! behind a network header without options or extensions, read in words.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::packet::Packet;
use super::parse::address::{is_unicast4, is_unicast6};
use super::parse::transport::{ACK, FIN, RST, SYN};
use super::parse::{Kind, Numbers, TcpFlags, protocol};
use super::{Address4, Address6};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastHeaders<A> {
    pub source: A,
    pub destination: A,
    /// As on the wire, in one word: source, then destination. Of echo the identifier, then zero.
    pub ports: u32,
    pub protocol: u8,
    pub l4: FastL4,
    /// Without FIN: none that has it is a [`FastL4::TcpSegment`].
    pub tcp: Numbers,
    /// Bytes of the transport header; 8 for other protocols than TCP.
    pub transport: u32,
}

impl<A> FastHeaders<A> {
    #[inline(always)]
    pub const fn source_port(&self) -> [u8; 2] {
        let [high, low, ..] = self.ports.to_ne_bytes();
        [high, low]
    }

    #[inline(always)]
    pub const fn destination_port(&self) -> [u8; 2] {
        let [_, _, high, low] = self.ports.to_ne_bytes();
        [high, low]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastL4 {
    /// A SYN without ACK and RST, between addresses of single hosts.
    TcpSyn,
    /// With ACK, without SYN, RST and FIN.
    TcpSegment,
    /// Every other one.
    TcpOther,
    /// UDP and others that have ports at the same place.
    Datagram,
    EchoRequest,
    EchoReply,
}

impl FastL4 {
    #[inline(always)]
    pub const fn is_tcp(self) -> bool {
        matches!(self, Self::TcpSyn | Self::TcpSegment | Self::TcpOther)
    }

    /// The kind of packet. [`Self::TcpOther`] stands for several, none of which the fast path looks up.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        match self {
            Self::TcpSyn => Kind::TcpOpening,
            Self::TcpSegment => Kind::Tcp,
            Self::TcpOther => Kind::TcpReset,
            Self::Datagram => Kind::Datagram,
            Self::EchoRequest => Kind::EchoRequest,
            Self::EchoReply => Kind::EchoReply,
        }
    }
}

/// Version 4, and a header of five words.
const PLAIN4: u8 = 0x45;

/// The flag "more fragments" and the offset, in network byte order.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

/// What the two families call their echo messages.
struct Echo {
    protocol: u8,
    request: u8,
    reply: u8,
}

const ECHO4: Echo = Echo { protocol: protocol::ICMP, request: 8, reply: 0 };
const ECHO6: Echo = Echo { protocol: protocol::ICMPV6, request: 128, reply: 129 };

#[inline(always)]
pub(super) fn ipv4<P: Packet>(packet: &P, offset: usize) -> Option<FastHeaders<Address4>> {
    let [head, identification, protocol, source, destination]: [u32; 5] = packet.read(offset)?;
    let [version, ..] = head.to_ne_bytes();
    let [_, _, fragment0, fragment1] = identification.to_ne_bytes();
    let fragment = u16::from_ne_bytes([fragment0, fragment1]);
    if version != PLAIN4 || fragment & FRAGMENT != 0 {
        return None;
    }
    let [_, protocol, ..] = protocol.to_ne_bytes();
    let upper = upper(packet, offset + Ipv4Hdr::LEN, protocol, &ECHO4)?;
    if upper.l4 == FastL4::TcpSyn && !(is_unicast4(source) && is_unicast4(destination)) {
        return None;
    }
    Some(upper.between(source, destination, protocol))
}

#[inline(always)]
pub(super) fn ipv6<P: Packet>(packet: &P, offset: usize) -> Option<FastHeaders<Address6>> {
    let [head, s0, s1, d0, d1]: [u64; 5] = packet.read(offset)?;
    let [version, _, _, _, _, _, next_header, _] = head.to_ne_bytes();
    if version >> 4 != 6 {
        return None;
    }
    let upper = upper(packet, offset + Ipv6Hdr::LEN, next_header, &ECHO6)?;
    let (source, destination) = ([s0, s1], [d0, d1]);
    if upper.l4 == FastL4::TcpSyn && !(is_unicast6(&source) && is_unicast6(&destination)) {
        return None;
    }
    Some(upper.between(source, destination, next_header))
}

/// What is behind the network header.
struct Upper {
    ports: u32,
    l4: FastL4,
    tcp: Numbers,
    transport: u32,
}

impl Upper {
    #[inline(always)]
    fn between<A>(self, source: A, destination: A, protocol: u8) -> FastHeaders<A> {
        let Self { ports, l4, tcp, transport } = self;
        FastHeaders { source, destination, ports, protocol, l4, tcp, transport }
    }

    #[inline(always)]
    fn plain(ports: u32, l4: FastL4) -> Self {
        const TRANSPORT: u32 = 8;
        Self { ports, l4, tcp: Numbers::default(), transport: TRANSPORT }
    }
}

#[inline(always)]
fn upper<P: Packet>(packet: &P, offset: usize, protocol: u8, echo: &Echo) -> Option<Upper> {
    match protocol {
        protocol::TCP => tcp(packet, offset),
        protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            let [ports, _]: [u32; 2] = packet.read(offset)?;
            Some(Upper::plain(ports, FastL4::Datagram))
        }
        _ if protocol == echo.protocol => {
            let [head, identifier]: [u32; 2] = packet.read(offset)?;
            let [kind, ..] = head.to_ne_bytes();
            let [i0, i1, ..] = identifier.to_ne_bytes();
            let l4 = if kind == echo.request {
                FastL4::EchoRequest
            } else if kind == echo.reply {
                FastL4::EchoReply
            } else {
                return None;
            };
            Some(Upper::plain(u32::from_ne_bytes([i0, i1, 0, 0]), l4))
        }
        _ => None,
    }
}

#[inline(always)]
fn tcp<P: Packet>(packet: &P, offset: usize) -> Option<Upper> {
    let [ports, sequence, acknowledgement, length_and_flags, _]: [u32; 5] = packet.read(offset)?;
    let [length, flags, ..] = length_and_flags.to_ne_bytes();
    const SYN_FIN: u8 = SYN | FIN;
    let l4 = match flags & (SYN | RST | ACK | FIN) {
        SYN | SYN_FIN => FastL4::TcpSyn,
        ACK => FastL4::TcpSegment,
        _ => FastL4::TcpOther,
    };
    let tcp = Numbers {
        sequence: u32::from_be(sequence),
        acknowledgement: u32::from_be(acknowledgement),
        flags: TcpFlags::of(flags).without_fin(),
    };
    Some(Upper { ports, l4, tcp, transport: u32::from(length >> 4) * 4 })
}
