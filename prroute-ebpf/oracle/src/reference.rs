//! What etherparse reads of a frame, said in prroute's words.

use core::fmt::Debug;

use etherparse::{IpNumber, Ipv6ExtensionSlice, NetSlice, SlicedPacket, TransportSlice};
use prroute_ebpf::wire::parse::{
    FirstFragment, Kind, LaterFragment, MAX_EXTENSION_HEADERS, NotParsed, Numbers, Segment,
    TcpFlags, ipv4, ipv6, protocol,
};

use crate::ETHERNET;

type Parsed<A> = Result<Segment<A>, NotParsed<A>>;

/// Compares, where etherparse parses the frame, and its network header follows the Ethernet
/// header. etherparse is strict about lengths that prroute has no use for.
pub(crate) fn check(frame: &[u8]) -> Result<(), String> {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return Ok(()) };
    if !packet.link_exts.is_empty() {
        return Ok(());
    }
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let offset = header.fragments_offset().value();
            let network = Network {
                source: u32::from_ne_bytes(header.source()),
                destination: u32::from_ne_bytes(header.destination()),
                is_ours: is_unicast4(header.source()) && is_unicast4(header.destination()),
                protocol: header.protocol(),
                length: header.slice().len(),
                fragment: (offset != 0 || header.more_fragments())
                    .then(|| (offset != 0, u32::from(header.identification()))),
                later_protocol: header.protocol().0,
                icmp: IpNumber::ICMP,
                payload: &frame[ETHERNET + header.slice().len()..],
            };
            compare(&packet, &network, ipv4(&frame, ETHERNET))
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let Some(chain) = Chain::of(header.next_header(), ip.extensions().clone()) else {
                let parsed = ipv6(&frame, ETHERNET);
                let refused = matches!(parsed, Err(NotParsed::Malformed | NotParsed::NotOurs));
                return refused.then_some(()).ok_or(format!("a longer chain is read: {parsed:?}"));
            };
            let length = header.slice().len() + chain.length;
            let network = Network {
                source: words(header.source()),
                destination: words(header.destination()),
                is_ours: is_unicast6(header.source()) && is_unicast6(header.destination()),
                protocol: chain.protocol,
                length,
                fragment: chain.fragment,
                later_protocol: 0,
                icmp: IpNumber::IPV6_ICMP,
                payload: &frame[ETHERNET + length..],
            };
            compare(&packet, &network, ipv6(&frame, ETHERNET))
        }
        _ => Ok(()),
    }
}

/// What the headers up to the transport header say.
struct Network<'a, A> {
    source: A,
    destination: A,
    /// Both addresses are ones that two hosts may speak between.
    is_ours: bool,
    protocol: IpNumber,
    length: usize,
    /// Whether it is a later one, and the identification.
    fragment: Option<(bool, u32)>,
    later_protocol: u8,
    /// The family's own ICMP.
    icmp: IpNumber,
    payload: &'a [u8],
}

/// The extension headers that prroute walks: an authentication header is a protocol of its own.
struct Chain {
    protocol: IpNumber,
    length: usize,
    fragment: Option<(bool, u32)>,
}

impl Chain {
    /// `None` for a chain that is longer than what is walked.
    fn of(first: IpNumber, extensions: etherparse::Ipv6ExtensionsSlice<'_>) -> Option<Self> {
        let mut chain = Self { protocol: first, length: 0, fragment: None };
        for (number, extension) in extensions.into_iter().enumerate() {
            if chain.protocol == IpNumber::AUTHENTICATION_HEADER {
                break;
            }
            let is_last = number + 1 == MAX_EXTENSION_HEADERS;
            use Ipv6ExtensionSlice as Slice;
            let (next, length) = match &extension {
                Slice::HopByHop(raw) | Slice::Routing(raw) | Slice::DestinationOptions(raw) => {
                    (raw.next_header(), raw.slice().len())
                }
                Slice::Fragment(fragment) => {
                    let is_later = fragment.fragment_offset().value() != 0;
                    if is_later || fragment.more_fragments() {
                        chain.fragment = Some((is_later, fragment.identification()));
                    }
                    (fragment.next_header(), fragment.slice().len())
                }
                Slice::Authentication(_) => break,
            };
            chain.protocol = next;
            chain.length += length;
            if matches!(chain.fragment, Some((true, _))) {
                break;
            }
            if is_last {
                return None;
            }
        }
        Some(chain)
    }
}

fn compare<A: Copy + Debug + PartialEq>(
    packet: &SlicedPacket<'_>,
    network: &Network<'_, A>,
    parsed: Parsed<A>,
) -> Result<(), String> {
    let Some(expected) = expectation(packet, network) else { return Ok(()) };
    let agrees = match (&parsed, &expected) {
        (Ok(parsed), Expected::Segment(expected)) => parsed == expected,
        // Its ports are behind a header that etherparse does not read of a fragment.
        (parsed, Expected::FirstFragment(identification)) => match parsed {
            // An ICMP error speaks of another packet, whose fragments are none of its own.
            Ok(Segment { kind: Kind::Error, first_fragment: FirstFragment::NONE, .. }) => true,
            Ok(segment) => segment.first_fragment == FirstFragment::with(*identification),
            Err(error) => !matches!(error, NotParsed::LaterFragment(_)),
        },
        (Err(parsed), Expected::Refused(expected)) => parsed == expected,
        (Ok(parsed), Expected::Error) => parsed.kind == Kind::Error,
        (Err(parsed), Expected::Error) => !matches!(parsed, NotParsed::LaterFragment(_)),
        _ => false,
    };
    agrees.then_some(()).ok_or_else(|| format!("read {parsed:?}\nexpected {expected:?}"))
}

#[derive(Debug)]
enum Expected<A> {
    Segment(Segment<A>),
    FirstFragment(u32),
    /// An ICMP error, which may quote anything.
    Error,
    Refused(NotParsed<A>),
}

/// `None` where etherparse leaves open what the packet is.
fn expectation<A: Copy>(
    packet: &SlicedPacket<'_>,
    network: &Network<'_, A>,
) -> Option<Expected<A>> {
    if !network.is_ours {
        return Some(Expected::Refused(NotParsed::NotOurs));
    }
    match network.fragment {
        Some((true, identification)) => {
            let (source, destination) = (network.source, network.destination);
            let protocol = network.later_protocol;
            let later = LaterFragment { source, destination, identification, protocol };
            return Some(Expected::Refused(NotParsed::LaterFragment(later)));
        }
        Some((false, identification)) => return Some(Expected::FirstFragment(identification)),
        None => {}
    }
    let segment = |source_port: u16, destination_port: u16, kind, transport: usize| Segment {
        source: network.source,
        destination: network.destination,
        source_port: source_port.to_be_bytes(),
        destination_port: destination_port.to_be_bytes(),
        protocol: network.protocol.0,
        kind,
        headers: (network.length + transport) as u32,
        transport: transport as u32,
        tcp: Numbers::default(),
        first_fragment: FirstFragment::NONE,
        sender: network.source,
    };
    let echo = |kind, payload: &[u8]| match payload {
        [_, _, _, _, high, low, ..] => {
            let identifier = u16::from_be_bytes([*high, *low]);
            Some(Expected::Segment(segment(identifier, identifier, kind, 8)))
        }
        _ => None,
    };
    let has_own_number = !matches!(network.protocol, IpNumber::AUTHENTICATION_HEADER);
    let expected = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) if has_own_number => {
            let kind = match (tcp.rst(), tcp.syn(), tcp.ack()) {
                (true, _, _) => Kind::TcpReset,
                (false, false, _) => Kind::Tcp,
                (false, true, false) => Kind::TcpOpening,
                (false, true, true) => Kind::TcpAnswer,
            };
            let (source, destination) = (tcp.source_port(), tcp.destination_port());
            let numbers = Numbers {
                sequence: tcp.sequence_number(),
                acknowledgement: tcp.acknowledgment_number(),
                flags: TcpFlags::new(tcp.ack(), tcp.fin()),
            };
            let segment = segment(source, destination, kind, tcp.header_slice().len());
            Expected::Segment(Segment { tcp: numbers, ..segment })
        }
        Some(TransportSlice::Udp(udp)) if has_own_number => {
            Expected::Segment(segment(udp.source_port(), udp.destination_port(), Kind::Datagram, 8))
        }
        Some(TransportSlice::Icmpv4(icmp)) if has_own_number => match icmp.type_u8() {
            0 => echo(Kind::EchoReply, icmp.slice())?,
            8 => echo(Kind::EchoRequest, icmp.slice())?,
            3 | 4 | 5 | 11 | 12 if network.icmp == IpNumber::ICMP => Expected::Error,
            _ => Expected::Refused(NotParsed::NotOurs),
        },
        Some(TransportSlice::Icmpv6(icmp)) if has_own_number => match icmp.type_u8() {
            128 => echo(Kind::EchoRequest, icmp.slice())?,
            129 => echo(Kind::EchoReply, icmp.slice())?,
            0..128 if network.icmp == IpNumber::IPV6_ICMP => Expected::Error,
            _ => Expected::Refused(NotParsed::NotOurs),
        },
        _ => match (network.protocol.0, network.payload) {
            (protocol::IGMP, _) => Expected::Refused(NotParsed::NotOurs),
            // Ports that etherparse has no slice for.
            (protocol::SCTP | protocol::UDP_LITE | protocol::DCCP, [s0, s1, d0, d1, ..]) => {
                let (source, destination) =
                    (u16::from_be_bytes([*s0, *s1]), u16::from_be_bytes([*d0, *d1]));
                Expected::Segment(segment(source, destination, Kind::Datagram, 8))
            }
            (protocol::SCTP | protocol::UDP_LITE | protocol::DCCP, _) => {
                Expected::Refused(NotParsed::Malformed)
            }
            _ => Expected::Segment(segment(0, 0, Kind::Datagram, 8)),
        },
    };
    Some(expected)
}

fn is_unicast4(address: [u8; 4]) -> bool {
    let ip = std::net::Ipv4Addr::from(address);
    let is_zero_net = address[0] == 0;
    !(is_zero_net
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast())
}

fn is_unicast6(address: [u8; 16]) -> bool {
    let ip = std::net::Ipv6Addr::from(address);
    let is_in_first_64 = address[..8] == [0; 8];
    !(is_in_first_64 || ip.is_multicast() || ip.is_unicast_link_local())
}

fn words(address: [u8; 16]) -> [u64; 2] {
    bytemuck::cast(address)
}
