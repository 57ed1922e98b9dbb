//! Frames as they are seen on an uplink.

use etherparse::{PacketBuilder, PacketBuilderStep};

/// Stands for the uplink's own link-layer address.
pub(crate) const TO_HOST: [u8; 6] = [0; 6];
/// Of a SYN-ACK; that of a SYN is 0.
const SYN_ACK_SEQUENCE: u32 = 1000;

const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Syn,
    SynAck,
    Ack,
    Udp,
    EchoRequest,
    EchoReply,
}

/// A packet of either family, from `source` to `destination`. For echo the source port is the
/// identifier.
pub(crate) fn frame(kind: Kind, source: (&str, u16), destination: (&str, u16)) -> Vec<u8> {
    frame_with(kind, source, destination, &[0; 32])
}

pub(crate) fn frame_with(
    kind: Kind,
    (source, source_port): (&str, u16),
    (destination, destination_port): (&str, u16),
    payload: &[u8],
) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(ROUTER, TO_HOST);
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => {
            let ip = ethernet.ipv4(source.octets(), destination.octets(), 64);
            match kind {
                Kind::EchoRequest => write(ip.icmpv4_echo_request(source_port, 1), payload),
                Kind::EchoReply => write(ip.icmpv4_echo_reply(source_port, 1), payload),
                _ => transport(kind, ip, source_port, destination_port, payload),
            }
        }
        (std::net::IpAddr::V6(source), std::net::IpAddr::V6(destination)) => {
            let ip = ethernet.ipv6(source.octets(), destination.octets(), 64);
            match kind {
                Kind::EchoRequest => write(ip.icmpv6_echo_request(source_port, 1), payload),
                Kind::EchoReply => write(ip.icmpv6_echo_reply(source_port, 1), payload),
                _ => transport(kind, ip, source_port, destination_port, payload),
            }
        }
        _ => panic!("{source} and {destination} are of different families"),
    }
}

/// A SYN or SYN-ACK that offers a maximum segment size behind two other options.
pub(crate) fn with_mss(
    kind: Kind,
    (source, source_port): (&str, u16),
    (destination, destination_port): (&str, u16),
    size: u16,
) -> Vec<u8> {
    use etherparse::TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted,
    };
    let ethernet = PacketBuilder::ethernet2(ROUTER, TO_HOST);
    let ip = match (source.parse().unwrap(), destination.parse().unwrap()) {
        (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => {
            ethernet.ipv4(source.octets(), destination.octets(), 64)
        }
        (std::net::IpAddr::V6(source), std::net::IpAddr::V6(destination)) => {
            ethernet.ipv6(source.octets(), destination.octets(), 64)
        }
        _ => panic!("{source} and {destination} are of different families"),
    };
    let options = [Noop, SelectiveAcknowledgementPermitted, MaximumSegmentSize(size)];
    let sequence = if matches!(kind, Kind::SynAck) { SYN_ACK_SEQUENCE } else { 0 };
    let tcp =
        ip.tcp(source_port, destination_port, sequence, 1024).syn().options(&options).unwrap();
    write(if matches!(kind, Kind::SynAck) { tcp.ack(1) } else { tcp }, &[])
}

fn transport(
    kind: Kind,
    ip: PacketBuilderStep<etherparse::IpHeaders>,
    source_port: u16,
    destination_port: u16,
    payload: &[u8],
) -> Vec<u8> {
    if matches!(kind, Kind::Udp) {
        return write(ip.udp(source_port, destination_port), payload);
    }
    // What follows a SYN-ACK starts behind it.
    let sequence = match kind {
        Kind::Syn => 0,
        Kind::Ack => SYN_ACK_SEQUENCE + 1,
        _ => SYN_ACK_SEQUENCE,
    };
    let tcp = ip.tcp(source_port, destination_port, sequence, 1024);
    let tcp = match kind {
        Kind::Syn => tcp.syn(),
        Kind::SynAck => tcp.syn().ack(1),
        _ => tcp.ack(SYN_ACK_SEQUENCE + 1),
    };
    write(tcp, payload)
}

fn write<T>(step: PacketBuilderStep<T>, payload: &[u8]) -> Vec<u8>
where
    PacketBuilderStep<T>: Finish,
{
    step.finish(payload)
}

/// Every last step of etherparse's builder writes in its own way.
trait Finish {
    fn finish(self, payload: &[u8]) -> Vec<u8>;
}

macro_rules! finish {
    ($($header:ty),+) => {
        $(
            impl Finish for PacketBuilderStep<$header> {
                fn finish(self, payload: &[u8]) -> Vec<u8> {
                    let mut frame = Vec::with_capacity(self.size(payload.len()));
                    self.write(&mut frame, payload).unwrap();
                    frame
                }
            }
        )+
    };
}

finish!(
    etherparse::UdpHeader,
    etherparse::TcpHeader,
    etherparse::Icmpv4Header,
    etherparse::Icmpv6Header
);
