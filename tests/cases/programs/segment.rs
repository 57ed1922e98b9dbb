//! TCP segments with chosen flags and numbers.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use prroute_ebpf::wire::parse::{Kind, Numbers};

use super::frames::TO_HOST;

const WINDOW: u16 = 1024;

/// A segment, or a datagram where the kind is one. Both addresses are of one family.
pub(crate) fn packet(
    kind: Kind,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    numbers: Numbers,
    payload: usize,
    router: [u8; 6],
) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(router, TO_HOST);
    let ip = match (source.0, destination.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ethernet.ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ethernet.ipv6(source.octets(), destination.octets(), 64)
        }
        _ => panic!("{source:?} and {destination:?} are of different families"),
    };
    let payload = vec![0; payload];
    let mut frame = Vec::new();
    if kind == Kind::Datagram {
        ip.udp(source.1, destination.1).write(&mut frame, &payload).unwrap();
        return frame;
    }
    let tcp = ip.tcp(source.1, destination.1, numbers.sequence, WINDOW);
    let tcp = match kind {
        Kind::TcpOpening | Kind::TcpAnswer => tcp.syn(),
        Kind::TcpReset => tcp.rst(),
        _ => tcp,
    };
    let tcp = if numbers.acknowledges() { tcp.ack(numbers.acknowledgement) } else { tcp };
    let tcp = if numbers.fin() { tcp.fin() } else { tcp };
    tcp.write(&mut frame, &payload).unwrap();
    frame
}
