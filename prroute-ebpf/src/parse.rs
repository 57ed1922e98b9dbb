//! Headers to [`Segment`]: who speaks to whom, and what kind of packet it is.

use network_types::icmp::Icmpv4Hdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::tcp::TcpHdr;

use crate::packet::Packet;

/// Protocol numbers (IANA) that are told apart.
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDP_LITE: u8 = 136;
}

/// Extension headers that are walked before a packet counts as malformed. Linux itself sends
/// at most hop-by-hop (BIG TCP), destination options, routing, and destination options again.
pub const MAX_EXTENSION_HEADERS: usize = 6;

/// What a packet can do to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A SYN without ACK.
    TcpOpening,
    /// Any other TCP segment.
    Tcp,
    EchoRequest,
    EchoReply,
    /// UDP and every protocol without a direction of its own.
    Datagram,
}

/// The part of a packet that decides its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<A> {
    pub source: A,
    pub destination: A,
    /// The echo identifier for [`Kind::EchoRequest`] and [`Kind::EchoReply`] in both ports; 0
    /// for protocols without ports.
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    pub protocol: u8,
    pub kind: Kind,
    /// Bytes of the network and transport headers; for protocols other than TCP the transport
    /// header counts 8 bytes, which is UDP's.
    pub headers: u32,
}

/// Why a packet has no [`Segment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotParsed {
    /// Not unicast between hosts, or the link's own affair (multicast, broadcast, link-local,
    /// neighbour discovery, DHCP before an address): nothing to decide, nothing to count.
    NotOurs,
    /// A fragment: its ports are elsewhere.
    Fragment,
    /// An ICMP error: it belongs to the flow it quotes.
    IcmpError,
    /// Truncated, or not what its type says.
    Malformed,
}

/// Reads an IPv4 packet whose header starts at `offset`.
#[inline(always)]
pub fn ipv4<P: Packet>(packet: &P, offset: usize) -> Result<Segment<[u8; 4]>, NotParsed> {
    let ip: Ipv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
    let header = (ip.vihl & 0x0f) as usize * 4;
    if ip.vihl >> 4 != 4 || header < Ipv4Hdr::LEN {
        return Err(NotParsed::Malformed);
    }
    if !is_unicast4(ip.src_addr) || !is_unicast4(ip.dst_addr) {
        return Err(NotParsed::NotOurs);
    }
    // More fragments, or an offset.
    if ip.frags[0] & 0x3f != 0 || ip.frags[1] != 0 {
        return Err(NotParsed::Fragment);
    }
    let (ports, kind, transport) = transport(packet, offset + header, ip.proto)?;
    Ok(Segment {
        source: ip.src_addr,
        destination: ip.dst_addr,
        source_port: ports.0,
        destination_port: ports.1,
        protocol: ip.proto,
        kind,
        headers: header as u32 + transport,
    })
}

/// Reads an IPv6 packet whose header starts at `offset`.
#[inline(always)]
pub fn ipv6<P: Packet>(packet: &P, offset: usize) -> Result<Segment<[u8; 16]>, NotParsed> {
    let ip: Ipv6Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
    if ip.vcf[0] >> 4 != 6 {
        return Err(NotParsed::Malformed);
    }
    if !is_unicast6(&ip.src_addr) || !is_unicast6(&ip.dst_addr) {
        return Err(NotParsed::NotOurs);
    }
    let (protocol, header) = skip_extensions(packet, offset, ip.next_hdr)?;
    let (ports, kind, transport) = transport(packet, offset + header, protocol)?;
    Ok(Segment {
        source: ip.src_addr,
        destination: ip.dst_addr,
        source_port: ports.0,
        destination_port: ports.1,
        protocol,
        kind,
        headers: header as u32 + transport,
    })
}

/// Walks the extension headers behind an IPv6 header at `offset`: the upper protocol, and where
/// it starts relative to `offset`.
#[inline(always)]
fn skip_extensions<P: Packet>(
    packet: &P,
    offset: usize,
    first: u8,
) -> Result<(u8, usize), NotParsed> {
    let mut next = first;
    let mut at = Ipv6Hdr::LEN;
    for _ in 0..MAX_EXTENSION_HEADERS {
        match next {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let [following, length]: [u8; 2] =
                    packet.read(offset + at).ok_or(NotParsed::Malformed)?;
                next = following;
                at += (length as usize + 1) * 8;
            }
            protocol::FRAGMENT => {
                let [following, _, offset_high, offset_low]: [u8; 4] =
                    packet.read(offset + at).ok_or(NotParsed::Malformed)?;
                // An atomic fragment (RFC 6946) is a whole packet.
                if offset_high != 0 || offset_low & 0xf9 != 0 {
                    return Err(NotParsed::Fragment);
                }
                next = following;
                at += 8;
            }
            _ => return Ok((next, at)),
        }
    }
    Err(NotParsed::Malformed)
}

type Ports = ([u8; 2], [u8; 2]);

/// Ports, kind and header length of what the network header carries.
#[inline(always)]
fn transport<P: Packet>(
    packet: &P,
    offset: usize,
    protocol: u8,
) -> Result<(Ports, Kind, u32), NotParsed> {
    const UDP_HEADER: u32 = 8;
    match protocol {
        protocol::TCP => {
            let tcp: TcpHdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            let opening = tcp.syn() == 1 && tcp.ack() == 0;
            let kind = if opening { Kind::TcpOpening } else { Kind::Tcp };
            Ok(((tcp.source, tcp.dest), kind, u32::from(tcp.doff()) * 4))
        }
        protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            let [s0, s1, d0, d1]: [u8; 4] = packet.read(offset).ok_or(NotParsed::Malformed)?;
            Ok((([s0, s1], [d0, d1]), Kind::Datagram, UDP_HEADER))
        }
        protocol::ICMP => {
            let icmp: Icmpv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            let kind = match icmp.type_ {
                0 => Kind::EchoReply,
                8 => Kind::EchoRequest,
                // Unreachable, source quench, redirect, time exceeded, parameter problem.
                3 | 4 | 5 | 11 | 12 => return Err(NotParsed::IcmpError),
                _ => return Err(NotParsed::NotOurs),
            };
            Ok((echo_ports(&icmp), kind, UDP_HEADER))
        }
        protocol::ICMPV6 => {
            let icmp: Icmpv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            let kind = match icmp.type_ {
                128 => Kind::EchoRequest,
                129 => Kind::EchoReply,
                // RFC 4443, 2.1: error messages have a type below 128.
                0..=127 => return Err(NotParsed::IcmpError),
                _ => return Err(NotParsed::NotOurs),
            };
            Ok((echo_ports(&icmp), kind, UDP_HEADER))
        }
        protocol::IGMP => Err(NotParsed::NotOurs),
        _ => Ok((([0; 2], [0; 2]), Kind::Datagram, UDP_HEADER)),
    }
}

/// The identifier of an echo message, at the same place in both families.
#[inline(always)]
fn echo_ports(icmp: &Icmpv4Hdr) -> Ports {
    let [i0, i1, ..] = icmp.data;
    ([i0, i1], [i0, i1])
}

/// Neither unspecified, loopback, link-local, multicast nor broadcast.
#[inline(always)]
fn is_unicast4(address: [u8; 4]) -> bool {
    let [a, b, ..] = address;
    a != 0 && a != 127 && a < 224 && !(a == 169 && b == 254)
}

/// Neither unspecified, loopback, link-local nor multicast.
#[inline(always)]
fn is_unicast6(address: &[u8; 16]) -> bool {
    // The unspecified address and ::1 lie in ::/64, from which nothing else is assigned but
    // deprecated IPv4-compatible addresses.
    let high = u64::from_ne_bytes([
        address[0], address[1], address[2], address[3], address[4], address[5], address[6],
        address[7],
    ]);
    high != 0 && address[0] != 0xff && !(address[0] == 0xfe && address[1] & 0xc0 == 0x80)
}
