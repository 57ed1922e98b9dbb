//! Packets that are made up, to ask the programs about.

use std::net::IpAddr;

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, PacketBuilderStep, TcpHeader,
};
use prroute_common::flow::Flow;

use crate::datapath::error::{DatapathError, Result};

/// What a packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of a TCP connection.
    Syn,
    /// The answer to that.
    SynAck,
    /// Any later one.
    TcpSegment,
    /// UDP, and every protocol that is neither TCP nor ICMP echo.
    Datagram,
    EchoRequest,
    EchoReply,
}

/// A packet between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IANA number.
    pub protocol: u8,
    pub kind: Kind,
    pub source: IpAddr,
    /// Of an echo the identifier, on either side; of protocols without ports nothing.
    pub source_port: u16,
    pub destination: IpAddr,
    pub destination_port: u16,
}

/// TCP's numbers of a connection that nobody has: where the two ends begin.
const CLIENT: u32 = 1_000_000;
const SERVER: u32 = 2_000_000;

/// How far a TCP connection is: the sequence number that each end sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    client: u32,
    server: u32,
}

impl Progress {
    /// As far as the flow's record says; the rest is made up. The programs tell a connection by its numbers.
    pub(super) fn of(flow: Option<&Flow>) -> Self {
        let client = flow.and_then(Flow::received);
        let server = flow.and_then(|flow| flow.sent().or(flow.heard()));
        Self { client: client.unwrap_or(CLIENT + 1), server: server.unwrap_or(SERVER + 1) }
    }

    /// Sequence and acknowledgement number of the client's next segment.
    pub(super) const fn of_client(self) -> (u32, u32) {
        (self.client, self.server)
    }

    /// Likewise of this end's.
    pub(super) const fn of_server(self) -> (u32, u32) {
        (self.server, self.client)
    }
}

/// Hop limit.
const HOPS: u8 = 64;

/// Receive window.
const WINDOW: u16 = 64_000;

const SCTP: u8 = 132;
const DCCP: u8 = 33;
const UDP: u8 = 17;
const UDP_LITE: u8 = 136;

/// Link-layer addresses of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: [u8; 6],
    pub(super) to: [u8; 6],
}

impl Packet {
    /// The reply to it.
    #[must_use]
    pub const fn reply(&self) -> Self {
        let kind = match self.kind {
            Kind::Syn => Kind::SynAck,
            Kind::SynAck | Kind::TcpSegment => Kind::TcpSegment,
            Kind::Datagram => Kind::Datagram,
            Kind::EchoRequest | Kind::EchoReply => Kind::EchoReply,
        };
        Self {
            protocol: self.protocol,
            kind,
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
        }
    }

    /// Its bytes, in an Ethernet frame. `numbers`: sequence and acknowledgement number of a [`Kind::TcpSegment`].
    pub(super) fn frame(&self, link: Link, numbers: (u32, u32)) -> Result<Vec<u8>> {
        let failed = |what: String| DatapathError::Packet { what };
        let ip = self.ip()?;
        let start = PacketBuilder::ethernet2(link.from, link.to).ip(ip);
        let mut frame = Vec::new();
        let written = match self.kind {
            Kind::Syn | Kind::SynAck | Kind::TcpSegment => {
                start.tcp_header(self.tcp(numbers)).write(&mut frame, &[])
            }
            Kind::EchoRequest | Kind::EchoReply => self.echo(start).write(&mut frame, &[]),
            Kind::Datagram if self.protocol == UDP => {
                start.udp(self.source_port, self.destination_port).write(&mut frame, &[])
            }
            Kind::Datagram => {
                start.write(&mut frame, IpNumber(self.protocol), &self.upper_header())
            }
        };
        written.map_err(|error| failed(error.to_string()))?;
        Ok(frame)
    }

    fn ip(&self) -> Result<IpHeaders> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let protocol = IpNumber(self.protocol);
                let header =
                    Ipv4Header::new(0, HOPS, protocol, source.octets(), destination.octets());
                let header =
                    header.map_err(|error| DatapathError::Packet { what: error.to_string() })?;
                Ok(IpHeaders::Ipv4(header, Default::default()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    next_header: IpNumber(self.protocol),
                    hop_limit: HOPS,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                Ok(IpHeaders::Ipv6(header, Default::default()))
            }
            _ => Err(DatapathError::Packet {
                what: format!("{} and {} are of two families", self.source, self.destination),
            }),
        }
    }

    fn tcp(&self, (next, received): (u32, u32)) -> TcpHeader {
        let (sequence, acknowledges) = match self.kind {
            Kind::Syn => (CLIENT, None),
            Kind::SynAck => (SERVER, Some(CLIENT + 1)),
            _ => (next, Some(received)),
        };
        let mut header = TcpHeader::new(self.source_port, self.destination_port, sequence, WINDOW);
        header.syn = matches!(self.kind, Kind::Syn | Kind::SynAck);
        header.ack = acknowledges.is_some();
        header.acknowledgment_number = acknowledges.unwrap_or_default();
        header
    }

    fn echo(&self, start: PacketBuilderStep<IpHeaders>) -> EchoStep {
        let (identifier, sequence) = (self.source_port, 1);
        match (self.source, self.kind) {
            (IpAddr::V4(_), Kind::EchoRequest) => {
                EchoStep::V4(start.icmpv4_echo_request(identifier, sequence))
            }
            (IpAddr::V4(_), _) => EchoStep::V4(start.icmpv4_echo_reply(identifier, sequence)),
            (IpAddr::V6(_), Kind::EchoRequest) => {
                EchoStep::V6(start.icmpv6_echo_request(identifier, sequence))
            }
            (IpAddr::V6(_), _) => EchoStep::V6(start.icmpv6_echo_reply(identifier, sequence)),
        }
    }

    /// The ports, where the protocol has them in front, and room for the rest of a header.
    fn upper_header(&self) -> [u8; 16] {
        let mut header = [0; 16];
        if matches!(self.protocol, SCTP | DCCP | UDP_LITE) {
            header[..2].copy_from_slice(&self.source_port.to_be_bytes());
            header[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        }
        header
    }
}

enum EchoStep {
    V4(PacketBuilderStep<etherparse::Icmpv4Header>),
    V6(PacketBuilderStep<etherparse::Icmpv6Header>),
}

impl EchoStep {
    fn write(
        self,
        frame: &mut Vec<u8>,
        payload: &[u8],
    ) -> std::result::Result<(), etherparse::err::packet::BuildWriteError> {
        match self {
            Self::V4(step) => step.write(frame, payload),
            Self::V6(step) => step.write(frame, payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_the_numbers_that_are_known_of_its_connection() {
        let flow = Flow::inbound(1, 1, 7).with_received(0x1111).with_heard(0x2200);
        assert_eq!(Progress::of(Some(&flow)).of_client(), (0x1111, 0x2200), "adopted");
        let numbers = Progress::of(Some(&flow.with_sent(0x2222)));
        assert_eq!(numbers.of_client(), (0x1111, 0x2222));
        assert_eq!(numbers.of_server(), (0x2222, 0x1111));
        let made_up = Progress::of(None);
        assert_eq!(Progress::of(Some(&Flow::by_host(1, 1, 7))), made_up);

        let request = Packet {
            protocol: 6,
            kind: Kind::TcpSegment,
            source: IpAddr::from([203, 0, 113, 11]),
            source_port: 40_000,
            destination: IpAddr::from([198, 51, 100, 10]),
            destination_port: 80,
        };
        let link = Link { from: [2; 6], to: [4; 6] };
        let sent = |packet: Packet, numbers| {
            let frame = packet.frame(link, numbers).unwrap();
            let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!() };
            (tcp.sequence_number(), tcp.acknowledgment_number())
        };
        assert_eq!(sent(request, numbers.of_client()), (0x1111, 0x2222));
        assert_eq!(sent(request.reply(), numbers.of_server()), (0x2222, 0x1111));
        let syn = Packet { kind: Kind::Syn, ..request };
        assert_eq!(sent(syn, numbers.of_client()), (CLIENT, 0), "of a new connection");
    }
}
