//! Ports, kind and numbers of what a network header carries.

use network_types::icmp::Icmpv4Hdr;

use super::{FirstFragment, Kind, NotParsed, Numbers, Segment, TcpFlags, protocol};
use crate::wire::packet::Packet;

/// UDP's header, and what stands for the others'.
const UDP_HEADER: u32 = 8;

/// Flags of a TCP segment (RFC 9293, 3.1).
pub(in crate::wire) const FIN: u8 = 0x01;
pub(in crate::wire) const SYN: u8 = 0x02;
pub(in crate::wire) const RST: u8 = 0x04;
pub(in crate::wire) const ACK: u8 = 0x10;

pub(super) struct Transport {
    pub(super) source_port: [u8; 2],
    pub(super) destination_port: [u8; 2],
    pub(super) kind: Kind,
    /// In bytes.
    pub(super) length: u32,
    pub(super) tcp: Numbers,
}

impl Transport {
    /// Behind a network header of `network` bytes.
    #[inline(always)]
    pub(super) fn between<A: Copy>(
        self,
        source: A,
        destination: A,
        protocol: u8,
        network: u32,
        first_fragment: FirstFragment,
    ) -> Segment<A> {
        Segment {
            source,
            destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol,
            kind: self.kind,
            headers: network + self.length,
            transport: self.length,
            tcp: self.tcp,
            first_fragment,
            sender: source,
        }
    }

    #[inline(always)]
    fn plain(source_port: [u8; 2], destination_port: [u8; 2], kind: Kind) -> Self {
        Self { source_port, destination_port, kind, length: UDP_HEADER, tcp: Numbers::default() }
    }

    /// The identifier of an echo message, at the same place in both families.
    #[inline(always)]
    fn echo(icmp: &Icmpv4Hdr, kind: Kind) -> Self {
        let [i0, i1, ..] = icmp.data;
        Self::plain([i0, i1], [i0, i1], kind)
    }
}

/// Reads the transport header at `offset`. ICMP errors are none.
#[inline(always)]
pub(super) fn read<P: Packet, A>(
    packet: &P,
    offset: usize,
    protocol: u8,
) -> Result<Transport, NotParsed<A>> {
    match protocol {
        protocol::TCP => {
            // By words: the compiler would take each byte of a header on its own.
            let [ports, sequence, acknowledgement, length_and_flags, _]: [u32; 5] =
                packet.read(offset).ok_or(NotParsed::Malformed)?;
            let [s0, s1, d0, d1] = ports.to_ne_bytes();
            let [length, flags, ..] = length_and_flags.to_ne_bytes();
            let kind = if flags & RST != 0 {
                Kind::TcpReset
            } else if flags & SYN == 0 {
                Kind::Tcp
            } else if flags & ACK == 0 {
                Kind::TcpOpening
            } else {
                Kind::TcpAnswer
            };
            Ok(Transport {
                source_port: [s0, s1],
                destination_port: [d0, d1],
                kind,
                length: u32::from(length >> 4) * 4,
                tcp: Numbers {
                    sequence: u32::from_be(sequence),
                    acknowledgement: u32::from_be(acknowledgement),
                    flags: TcpFlags::of(flags),
                },
            })
        }
        protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            let [s0, s1, d0, d1]: [u8; 4] = packet.read(offset).ok_or(NotParsed::Malformed)?;
            Ok(Transport::plain([s0, s1], [d0, d1], Kind::Datagram))
        }
        protocol::ICMP => {
            let icmp: Icmpv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            match icmp.type_ {
                0 => Ok(Transport::echo(&icmp, Kind::EchoReply)),
                8 => Ok(Transport::echo(&icmp, Kind::EchoRequest)),
                _ => Err(NotParsed::NotOurs),
            }
        }
        protocol::ICMPV6 => {
            let icmp: Icmpv4Hdr = packet.read(offset).ok_or(NotParsed::Malformed)?;
            match icmp.type_ {
                128 => Ok(Transport::echo(&icmp, Kind::EchoRequest)),
                129 => Ok(Transport::echo(&icmp, Kind::EchoReply)),
                _ => Err(NotParsed::NotOurs),
            }
        }
        protocol::IGMP => Err(NotParsed::NotOurs),
        _ => Ok(Transport::plain([0; 2], [0; 2], Kind::Datagram)),
    }
}
