//! The parser agrees with etherparse on what it reads, and survives everything else.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails its test")]

use etherparse::{
    IpFragOffset, IpNumber, Ipv6FlowLabel, Ipv6FragmentHeader, Ipv6RawExtHeader, PacketBuilder,
    SlicedPacket, TransportSlice,
};
use proptest::prelude::*;
use prroute_ebpf::wire::fast_headers::FastL4;
use prroute_ebpf::wire::parse::{
    Kind, LaterFragment, MAX_EXTENSION_HEADERS, NotParsed, Segment, ipv4, ipv6, protocol,
};
use prroute_ebpf::wire::{Address4, Address6, Ipv4, Wire as _};

const ETHERNET: usize = 14;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn parse4(frame: &[u8]) -> Result<Segment<Address4>, NotParsed<Address4>> {
    ipv4(&frame, ETHERNET)
}

fn parse6(frame: &[u8]) -> Result<Segment<Address6>, NotParsed<Address6>> {
    ipv6(&frame, ETHERNET)
}

fn tcp4(syn: bool, ack: bool, options: &[u8]) -> Vec<u8> {
    let mut builder = PacketBuilder::ethernet2(MAC, MAC)
        .ip(etherparse::IpHeaders::Ipv4(
            etherparse::Ipv4Header {
                options: options.try_into().unwrap(),
                source: [203, 0, 113, 9],
                destination: [192, 0, 2, 1],
                time_to_live: 64,
                ..Default::default()
            },
            Default::default(),
        ))
        .tcp(40_000, 443, 1, 1024);
    if syn {
        builder = builder.syn();
    }
    if ack {
        builder = builder.ack(7);
    }
    let mut frame = Vec::new();
    builder.write(&mut frame, b"hello").unwrap();
    frame
}

#[test]
fn a_syn_without_ack_opens_and_nothing_else_does() {
    for (syn, ack, kind) in [
        (true, false, Kind::TcpOpening),
        (true, true, Kind::TcpAnswer),
        (false, true, Kind::Tcp),
        (false, false, Kind::Tcp),
    ] {
        let segment = parse4(&tcp4(syn, ack, &[])).unwrap();
        assert_eq!(segment.kind, kind, "syn {syn}, ack {ack}");
        assert_eq!(segment.source.to_ne_bytes(), [203, 0, 113, 9]);
        assert_eq!(segment.destination.to_ne_bytes(), [192, 0, 2, 1]);
        assert_eq!(segment.source_port, 40_000u16.to_be_bytes());
        assert_eq!(segment.destination_port, 443u16.to_be_bytes());
        assert_eq!(segment.protocol, protocol::TCP);
    }
}

#[test]
fn a_fin_is_read_and_is_none_of_the_fast_paths() {
    let frame = tcp4(false, true, &[]);
    let flags_at = frame.len() - b"hello".len() - 20 + 13;
    for (flags, fin, fast) in [(0x10, false, FastL4::TcpSegment), (0x11, true, FastL4::TcpOther)] {
        let mut frame = frame.clone();
        frame[flags_at] = flags;
        let segment = parse4(&frame).unwrap();
        assert_eq!((segment.kind, segment.tcp.fin()), (Kind::Tcp, fin));
        let headers = Ipv4::fast_headers(&frame.as_slice(), ETHERNET).unwrap();
        assert_eq!((headers.l4, headers.tcp.fin()), (fast, false));
    }
}

#[test]
fn ipv4_options_move_the_ports() {
    for words in 0..=10 {
        let frame = tcp4(true, false, &vec![1; words * 4]);
        let segment = parse4(&frame).unwrap();
        assert_eq!(segment.destination_port, 443u16.to_be_bytes(), "{words} words of options");
        assert_eq!(segment.headers as usize, 20 + words * 4 + 20);
    }
}

#[test]
fn an_echo_identifier_is_the_port_and_the_direction_is_kept() {
    let mut request = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv4([203, 0, 113, 9], [192, 0, 2, 1], 64)
        .icmpv4_echo_request(0x1234, 1)
        .write(&mut request, b"x")
        .unwrap();
    let segment = parse4(&request).unwrap();
    assert_eq!((segment.kind, segment.source_port), (Kind::EchoRequest, [0x12, 0x34]));

    let mut reply = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv6([0x20; 16], [0x30; 16], 64)
        .icmpv6_echo_reply(0x1234, 1)
        .write(&mut reply, b"x")
        .unwrap();
    let segment = parse6(&reply).unwrap();
    assert_eq!((segment.kind, segment.destination_port), (Kind::EchoReply, [0x12, 0x34]));
}

/// An IPv6 packet with the given headers before a UDP header.
fn udp6_behind(headers: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut upper = vec![0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let mut next = protocol::UDP;
    for (number, body) in headers.iter().rev() {
        let mut header = body.clone();
        header[0] = next;
        next = *number;
        header.extend(upper);
        upper = header;
    }
    let mut frame = [MAC, MAC].concat();
    frame.extend([0x86, 0xdd]);
    let ip = etherparse::Ipv6Header {
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(upper.len()).unwrap(),
        next_header: IpNumber(next),
        hop_limit: 64,
        source: [0x20; 16],
        destination: [0x30; 16],
        ..Default::default()
    };
    frame.extend(ip.to_bytes());
    frame.extend(upper);
    frame
}

fn options(words: usize) -> Vec<u8> {
    let payload = vec![0; 6 + words * 8];
    Ipv6RawExtHeader::new_raw(IpNumber::UDP, &payload).unwrap().to_bytes().to_vec()
}

fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let offset = IpFragOffset::try_new(offset).unwrap();
    Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, 7).to_bytes().to_vec()
}

#[test]
fn extension_headers_are_walked_hop_by_hop_first() {
    let chain = [
        (protocol::HOP_BY_HOP, options(0)),
        (protocol::DESTINATION_OPTIONS, options(3)),
        (protocol::ROUTING, options(2)),
        (protocol::FRAGMENT, fragment(0, false)),
        (protocol::DESTINATION_OPTIONS, options(0)),
    ];
    for length in 0..=chain.len() {
        let segment = parse6(&udp6_behind(&chain[..length])).unwrap();
        assert_eq!(segment.protocol, protocol::UDP);
        assert_eq!(segment.destination_port, 53u16.to_be_bytes(), "{length} headers");
    }
}

#[test]
fn an_endless_chain_of_extension_headers_is_malformed() {
    let chain = vec![(protocol::DESTINATION_OPTIONS, options(0)); MAX_EXTENSION_HEADERS];
    assert_eq!(parse6(&udp6_behind(&chain)), Err(NotParsed::Malformed));
    assert!(parse6(&udp6_behind(&chain[1..])).is_ok());
}

#[test]
fn the_first_fragment_has_ports_and_the_later_ones_know_their_packet() {
    let first = parse6(&udp6_behind(&[(protocol::FRAGMENT, fragment(0, true))])).unwrap();
    assert_eq!(
        (first.first_fragment.identification(), first.destination_port),
        (Some(7), 53u16.to_be_bytes())
    );
    for more in [true, false] {
        let later = parse6(&udp6_behind(&[(protocol::FRAGMENT, fragment(8, more))]));
        let Err(NotParsed::LaterFragment(LaterFragment { identification: 7, protocol: 0, .. })) =
            later
        else {
            panic!("{later:?}")
        };
    }
    let mut whole = tcp4(false, true, &[]);
    whole[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&[0, 9]);
    let with = |byte: usize, bits: u8| {
        let mut frame = whole.clone();
        frame[ETHERNET + byte] |= bits;
        parse4(&frame)
    };
    assert_eq!(with(6, 0x20).unwrap().first_fragment.identification(), Some(9));
    for (byte, bits) in [(6, 0x01), (7, 0x01), (6, 0x21)] {
        let later = with(byte, bits);
        let Err(NotParsed::LaterFragment(LaterFragment { identification: 9, protocol: 6, .. })) =
            later
        else {
            panic!("{later:?}")
        };
    }
    assert_eq!(with(6, 0x40).unwrap().first_fragment.identification(), None, "do not fragment");
}

#[test]
fn the_links_own_affairs_are_not_ours() {
    for (source, destination) in [
        ([0, 0, 0, 0], [255, 255, 255, 255]),
        ([192, 0, 2, 1], [255, 255, 255, 255]),
        ([192, 0, 2, 1], [239, 255, 255, 250]),
        ([192, 0, 2, 1], [224, 0, 0, 251]),
        ([169, 254, 1, 1], [192, 0, 2, 1]),
        ([127, 0, 0, 1], [192, 0, 2, 1]),
    ] {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(MAC, MAC)
            .ipv4(source, destination, 64)
            .udp(68, 67)
            .write(&mut frame, &[])
            .unwrap();
        assert_eq!(parse4(&frame), Err(NotParsed::NotOurs), "{source:?} to {destination:?}");
    }
    let mut link_local = [0; 16];
    link_local[..2].copy_from_slice(&[0xfe, 0x80]);
    let mut multicast = [0; 16];
    multicast[..2].copy_from_slice(&[0xff, 0x02]);
    let mut loopback = [0; 16];
    loopback[15] = 1;
    for source in [link_local, [0; 16], loopback] {
        for destination in [[0x20; 16], multicast] {
            let mut frame = Vec::new();
            PacketBuilder::ethernet2(MAC, MAC)
                .ipv6(source, destination, 255)
                .udp(546, 547)
                .write(&mut frame, &[])
                .unwrap();
            assert_eq!(parse6(&frame), Err(NotParsed::NotOurs));
        }
    }
}

/// An ICMP message of the given type that quotes `quoted`, sent to `receiver`.
fn icmp4(
    kind: u8,
    receiver: [u8; 4],
    quoted: &[u8],
) -> Result<Segment<Address4>, NotParsed<Address4>> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv4([198, 51, 100, 1], receiver, 64)
        .icmpv4_raw(kind, 0, [0; 4])
        .write(&mut frame, quoted)
        .unwrap();
    parse4(&frame)
}

fn icmp6(kind: u8, quoted: &[u8]) -> Result<Segment<Address6>, NotParsed<Address6>> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv6([0x40; 16], [0x20; 16], 64)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut frame, quoted)
        .unwrap();
    parse6(&frame)
}

#[test]
fn an_icmp_error_has_the_key_of_a_reply_to_what_it_quotes() {
    let request = tcp4(true, false, &[1; 4]);
    for kind in [3, 4, 5, 11, 12] {
        let error = icmp4(kind, [203, 0, 113, 9], &request[ETHERNET..]).unwrap();
        assert_eq!(error.kind, Kind::Error);
        assert_eq!(error.protocol, protocol::TCP);
        assert_eq!(error.source.to_ne_bytes(), [192, 0, 2, 1]);
        assert_eq!(error.destination.to_ne_bytes(), [203, 0, 113, 9]);
        assert_eq!(error.source_port, 443u16.to_be_bytes());
        assert_eq!(error.destination_port, 40_000u16.to_be_bytes());
        assert_eq!(error.sender.to_ne_bytes(), [198, 51, 100, 1]);
    }
    let request = udp6_behind(&[(protocol::DESTINATION_OPTIONS, options(1))]);
    for kind in [1, 2, 3, 4] {
        let error = icmp6(kind, &request[ETHERNET..]).unwrap();
        assert_eq!((error.kind, error.protocol), (Kind::Error, protocol::UDP));
        assert_eq!(error.source_port, 53u16.to_be_bytes());
        assert_eq!(error.destination_port, 40_000u16.to_be_bytes());
    }
}

#[test]
fn an_icmp_error_that_does_not_fit_what_it_quotes_is_not_ours() {
    let request = tcp4(true, false, &[]);
    let quoted = &request[ETHERNET..];
    assert_eq!(icmp4(3, [203, 0, 113, 8], quoted), Err(NotParsed::NotOurs), "another receiver");
    let mut later = quoted.to_vec();
    later[7] = 1;
    assert_eq!(icmp4(3, [203, 0, 113, 9], &later), Err(NotParsed::NotOurs), "a later fragment");
    for length in [0, 19, 20, 23] {
        let cut = icmp4(3, [203, 0, 113, 9], &quoted[..length]);
        assert_eq!(cut, Err(NotParsed::Malformed), "{length} bytes quoted");
    }
}

#[test]
fn other_icmp_messages_are_the_links_own_affair() {
    for kind in [9, 10, 13, 14] {
        assert_eq!(icmp4(kind, [203, 0, 113, 9], &[0; 28]), Err(NotParsed::NotOurs));
    }
    for kind in 133..=137 {
        assert_eq!(icmp6(kind, &[0; 48]), Err(NotParsed::NotOurs));
    }
}

/// What etherparse makes of the ports of a frame.
fn reference_ports(frame: &[u8]) -> Option<([u8; 2], [u8; 2])> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Tcp(tcp) => {
            Some((tcp.source_port().to_be_bytes(), tcp.destination_port().to_be_bytes()))
        }
        TransportSlice::Udp(udp) => {
            Some((udp.source_port().to_be_bytes(), udp.destination_port().to_be_bytes()))
        }
        _ => None,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let four = parse4(&frame);
        let six = parse6(&frame);
        prop_assert!(four.is_err() || six.is_err(), "one packet, two versions");
    }

    #[test]
    fn a_truncated_packet_is_malformed(cut in 0usize..39) {
        let frame = tcp4(true, false, &[]);
        prop_assert_eq!(parse4(&frame[..ETHERNET + cut]), Err(NotParsed::Malformed));
    }

    #[test]
    fn ports_are_those_etherparse_reads(
        source_port: u16,
        destination_port: u16,
        udp: bool,
        option_words in 0usize..=10,
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2(MAC, MAC).ip(etherparse::IpHeaders::Ipv4(
            etherparse::Ipv4Header {
                options: vec![1; option_words * 4].as_slice().try_into().unwrap(),
                source: [203, 0, 113, 9],
                destination: [192, 0, 2, 1],
                time_to_live: 64,
                ..Default::default()
            },
            Default::default(),
        ));
        if udp {
            builder.udp(source_port, destination_port).write(&mut frame, &payload).unwrap();
        } else {
            builder.tcp(source_port, destination_port, 1, 1).write(&mut frame, &payload).unwrap();
        }
        let segment = parse4(&frame).unwrap();
        prop_assert_eq!(
            Some((segment.source_port, segment.destination_port)),
            reference_ports(&frame)
        );
    }
}
