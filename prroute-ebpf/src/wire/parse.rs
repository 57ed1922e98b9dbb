//! Headers to [`Segment`]: who speaks to whom, and what kind of packet it is.

pub(super) mod address;
mod extension;
mod icmp;
pub mod protocol;
pub(super) mod transport;

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::packet::Packet;
use super::{Address4, Address6};
use address::{is_unicast4, is_unicast6};
pub use extension::MAX_EXTENSION_HEADERS;
use transport::{ACK, FIN};

/// What a packet can do to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A SYN without ACK.
    TcpOpening,
    /// A SYN with ACK.
    TcpAnswer,
    TcpReset,
    /// Any other TCP segment.
    Tcp,
    EchoRequest,
    EchoReply,
    /// UDP and every protocol without a direction of its own.
    Datagram,
    /// An ICMP error about a packet of the flow.
    Error,
}

/// The numbers of a TCP segment, and what its flags say of them; zero for other protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub sequence: u32,
    /// Means something when it [`Self::acknowledges`].
    pub acknowledgement: u32,
    pub flags: TcpFlags,
}

impl Numbers {
    #[inline(always)]
    pub const fn acknowledges(&self) -> bool {
        self.flags.0 & ACK != 0
    }

    /// Whether its sender sends nothing behind it.
    #[inline(always)]
    pub const fn fin(&self) -> bool {
        self.flags.0 & FIN != 0
    }
}

/// Those flags of a TCP segment that say something of its numbers, as they are on the wire: one byte, where
/// every other one would be a word on the stack of the function that reads the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// Of a segment's byte of flags.
    #[inline(always)]
    pub const fn of(byte: u8) -> Self {
        Self(byte & (ACK | FIN))
    }

    #[inline(always)]
    pub const fn new(acknowledges: bool, fin: bool) -> Self {
        let ack = if acknowledges { ACK } else { 0 };
        Self(if fin { ack | FIN } else { ack })
    }

    #[inline(always)]
    #[must_use]
    pub const fn without_fin(self) -> Self {
        Self(self.0 & !FIN)
    }
}

/// Whether a packet is the first of several fragments. An `Option` would leave a word unwritten,
/// which the verifier does not let be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstFragment {
    is_one: u32,
    identification: u32,
}

impl FirstFragment {
    pub const NONE: Self = Self { is_one: 0, identification: 0 };

    #[inline(always)]
    pub const fn with(identification: u32) -> Self {
        Self { is_one: 1, identification }
    }

    /// `None` for a whole packet.
    #[inline(always)]
    pub const fn identification(&self) -> Option<u32> {
        if self.is_one == 0 { None } else { Some(self.identification) }
    }
}

/// The part of a packet that decides its way.
///
/// For an ICMP error these are the addresses and ports of a reply to the quoted packet, so that
/// the error has the key of the flow it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<A> {
    pub source: A,
    pub destination: A,
    /// The echo identifier, in both ports, for echo; 0 for protocols without ports.
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    pub protocol: u8,
    pub kind: Kind,
    /// Bytes of the network and transport headers; for protocols other than TCP the transport
    /// header counts 8 bytes, which is UDP's.
    pub headers: u32,
    /// Those of the transport header alone.
    pub transport: u32,
    pub tcp: Numbers,
    pub first_fragment: FirstFragment,
    /// Who sent this packet: `source`, but for an ICMP error any address on its way.
    pub sender: A,
}

impl<A: Copy> Segment<A> {
    /// With addresses of another form.
    #[inline(always)]
    pub fn map<B>(&self, form: impl Fn(A) -> B) -> Segment<B> {
        Segment {
            source: form(self.source),
            destination: form(self.destination),
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
            kind: self.kind,
            headers: self.headers,
            transport: self.transport,
            tcp: self.tcp,
            first_fragment: self.first_fragment,
            sender: form(self.sender),
        }
    }
}

/// A fragment without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaterFragment<A> {
    pub source: A,
    pub destination: A,
    pub identification: u32,
    /// 0 for IPv6, whose identifications are not told apart by protocol.
    pub protocol: u8,
}

impl<A: Copy> LaterFragment<A> {
    /// With addresses of another form.
    #[inline(always)]
    pub fn map<B>(&self, form: impl Fn(A) -> B) -> LaterFragment<B> {
        LaterFragment {
            source: form(self.source),
            destination: form(self.destination),
            identification: self.identification,
            protocol: self.protocol,
        }
    }
}

/// Why a packet has no [`Segment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotParsed<A> {
    /// Not unicast between hosts, or the link's own affair (multicast, broadcast, link-local,
    /// neighbour discovery, DHCP before an address): nothing to decide, nothing to count.
    NotOurs,
    /// Follows the first fragment of its packet.
    LaterFragment(LaterFragment<A>),
    /// Truncated, or not what its type says.
    Malformed,
}

/// What is read of a packet.
pub type Parsed<A> = Result<Segment<A>, NotParsed<A>>;

/// Reads an IPv4 packet whose header starts at `offset`.
#[inline(always)]
pub fn ipv4<P: Packet>(packet: &P, offset: usize) -> Parsed<Address4> {
    // By words: the compiler would take each byte of a header on its own.
    let [head, middle, time_and_protocol, source, destination]: [u32; 5] =
        packet.read(offset).ok_or(NotParsed::Malformed)?;
    let [version_and_length, ..] = head.to_ne_bytes();
    let header = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 || header < Ipv4Hdr::LEN {
        return Err(NotParsed::Malformed);
    }
    if !is_unicast4(source) || !is_unicast4(destination) {
        return Err(NotParsed::NotOurs);
    }
    let [_, protocol, ..] = time_and_protocol.to_ne_bytes();
    let mut first_fragment = FirstFragment::NONE;
    let middle = u32::from_be(middle);
    let (fragment_offset, more) = (middle & 0x1fff, middle & 0x2000 != 0);
    if fragment_offset != 0 || more {
        let identification = middle >> 16;
        if fragment_offset != 0 {
            return Err(NotParsed::LaterFragment(LaterFragment {
                source,
                destination,
                identification,
                protocol,
            }));
        }
        first_fragment = FirstFragment::with(identification);
    }
    if protocol == protocol::ICMP && icmp::is_error4(packet, offset + header) {
        return icmp::error4(packet, offset + header, source, destination);
    }
    let upper = transport::read(packet, offset + header, protocol)?;
    Ok(upper.between(source, destination, protocol, header as u32, first_fragment))
}

/// Reads an IPv6 packet whose header starts at `offset`.
#[inline(always)]
pub fn ipv6<P: Packet>(packet: &P, offset: usize) -> Parsed<Address6> {
    let Ipv6 { source, destination, next_header } =
        Ipv6::read(packet, offset).ok_or(NotParsed::Malformed)?;
    if !is_unicast6(&source) || !is_unicast6(&destination) {
        return Err(NotParsed::NotOurs);
    }
    let (mut protocol, mut header) = (next_header, Ipv6Hdr::LEN);
    let mut first_fragment = FirstFragment::NONE;
    if extension::is_extension(protocol) {
        let walked = extension::walk(packet, offset, protocol).ok_or(NotParsed::Malformed)?;
        if let Some(fragment) = walked.fragment() {
            if fragment.is_later {
                return Err(NotParsed::LaterFragment(LaterFragment {
                    source,
                    destination,
                    identification: fragment.identification,
                    protocol: 0,
                }));
            }
            first_fragment = FirstFragment::with(fragment.identification);
        }
        (protocol, header) = (walked.protocol, walked.length);
    }
    if protocol == protocol::ICMPV6 && icmp::is_error6(packet, offset + header) {
        return icmp::error6(packet, offset + header, source, destination);
    }
    let upper = transport::read(packet, offset + header, protocol)?;
    Ok(upper.between(source, destination, protocol, header as u32, first_fragment))
}

/// What an IPv6 header says.
struct Ipv6 {
    source: Address6,
    destination: Address6,
    next_header: u8,
}

impl Ipv6 {
    /// By words: single bytes of two addresses would fill the stack.
    #[inline(always)]
    fn read<P: Packet>(packet: &P, offset: usize) -> Option<Self> {
        const _: () = assert!(size_of::<[u64; 5]>() == Ipv6Hdr::LEN);
        let [head, s0, s1, d0, d1]: [u64; 5] = packet.read(offset)?;
        let [version, _, _, _, _, _, next_header, _] = head.to_ne_bytes();
        (version >> 4 == 6).then_some(Self { source: [s0, s1], destination: [d0, d1], next_header })
    }
}
