//! A first look: all that the most common packets are decided by, and nothing that costs more
//! than a few instructions.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::address::{is_unicast4, is_unicast6};
use super::transport::{ACK, RST, SYN};
use super::{Address4, Address6, protocol};
use crate::packet::Packet;

/// A whole TCP segment or UDP datagram behind a network header without options or extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline<A> {
    pub source: A,
    pub destination: A,
    /// As on the wire, in one word: source, then destination.
    pub ports: u32,
    pub kind: Common,
}

impl<A> Outline<A> {
    #[inline(always)]
    pub const fn destination_port(&self) -> [u8; 2] {
        let [_, _, high, low] = self.ports.to_ne_bytes();
        [high, low]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Common {
    Udp,
    /// `opens` for a SYN without ACK, between addresses of single hosts.
    Tcp {
        opens: bool,
    },
}

impl Common {
    #[inline(always)]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Udp => protocol::UDP,
            Self::Tcp { .. } => protocol::TCP,
        }
    }
}

const OPENING: Common = Common::Tcp { opens: true };

/// Version 4, and a header of five words.
const PLAIN4: u8 = 0x45;

/// The flag "more fragments" and the offset, in network byte order.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

/// `None` for everything that takes a closer look.
#[inline(always)]
pub fn ipv4<P: Packet>(packet: &P, offset: usize) -> Option<Outline<Address4>> {
    let [head, identification, protocol, source, destination]: [u32; 5] = packet.read(offset)?;
    let [version, ..] = head.to_ne_bytes();
    let [_, _, fragment0, fragment1] = identification.to_ne_bytes();
    let fragment = u16::from_ne_bytes([fragment0, fragment1]);
    if version != PLAIN4 || fragment & FRAGMENT != 0 {
        return None;
    }
    let [_, protocol, ..] = protocol.to_ne_bytes();
    let (ports, kind) = common(packet, offset + Ipv4Hdr::LEN, protocol)?;
    if kind == OPENING && !(is_unicast4(source) && is_unicast4(destination)) {
        return None;
    }
    Some(Outline { source, destination, ports, kind })
}

/// `None` for everything that takes a closer look.
#[inline(always)]
pub fn ipv6<P: Packet>(packet: &P, offset: usize) -> Option<Outline<Address6>> {
    let [head, s0, s1, d0, d1]: [u64; 5] = packet.read(offset)?;
    let [version, _, _, _, _, _, next_header, _] = head.to_ne_bytes();
    if version >> 4 != 6 {
        return None;
    }
    let (ports, kind) = common(packet, offset + Ipv6Hdr::LEN, next_header)?;
    let (source, destination) = ([s0, s1], [d0, d1]);
    if kind == OPENING && !(is_unicast6(&source) && is_unicast6(&destination)) {
        return None;
    }
    Some(Outline { source, destination, ports, kind })
}

#[inline(always)]
fn common<P: Packet>(packet: &P, offset: usize, protocol: u8) -> Option<(u32, Common)> {
    match protocol {
        protocol::TCP => {
            let [ports, _, _, flags, _]: [u32; 5] = packet.read(offset)?;
            let [_, flags, ..] = flags.to_ne_bytes();
            Some((ports, Common::Tcp { opens: flags & (SYN | RST | ACK) == SYN }))
        }
        protocol::UDP => {
            let [ports, _]: [u32; 2] = packet.read(offset)?;
            Some((ports, Common::Udp))
        }
        _ => None,
    }
}
