//! What the fast path lets go on, and what it leaves to the slow path.

use prroute_common::flow::{Flow, OTHER_IDLE, SEEN_REFRESH, UNCONFIRMED_IDLE};
use prroute_ebpf::decide::fast::{Entry, FastIn, FastOut, decide_inbound, decide_outbound};
use prroute_ebpf::decide::{InboundPacket, Locality, OutboundPacket, UplinkRef};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags, protocol};

use crate::{ELSEWHERE, HERE, NOW, flow, own};

const SECOND_ROUTER: u64 = 2;

fn comes_in(kind: Kind, tcp: Numbers) -> InboundPacket {
    let is_tcp = kind == Kind::Tcp;
    InboundPacket {
        kind,
        protocol: if is_tcp { protocol::TCP } else { protocol::UDP },
        tcp,
        payload: 0,
        destination: Locality::NotLocal,
        here: HERE,
        router: 0,
        to_client_port: false,
        now: NOW,
    }
}

fn leaves(kind: Kind, tcp: Numbers) -> OutboundPacket {
    OutboundPacket {
        kind,
        tcp,
        payload: 10,
        source: Locality::Shared,
        here: HERE,
        leaves_by: HERE,
        forwarded: false,
        from_client_port: false,
        now: NOW,
    }
}

fn decide_in(packet: &InboundPacket, flow: Flow, confirmed: bool, exposes: bool) -> FastIn {
    let entry = Entry { flow: &flow, confirmed, protocol: packet.protocol };
    match decide_inbound(packet, &entry, exposes) {
        // As if it were written.
        FastIn::Nothing => FastIn::Write(flow),
        decision => decision,
    }
}

fn decide_out(packet: &OutboundPacket, flow: Flow, confirmed: bool, protocol: u8) -> FastOut {
    decide_outbound(packet, &Entry { flow: &flow, confirmed, protocol })
}

/// What is written of a datagram that comes in.
fn datagram_in(flow: Flow, confirmed: bool) -> Option<Flow> {
    let packet = comes_in(Kind::Datagram, Numbers::default());
    match decide_in(&packet, flow, confirmed, false) {
        FastIn::Write(flow) => Some(flow),
        FastIn::SlowPath | FastIn::Nothing => None,
    }
}

/// Where a datagram goes that leaves, and what is written of it.
fn datagram_out(flow: Flow, confirmed: bool) -> Option<(UplinkRef, Flow)> {
    let packet = leaves(Kind::Datagram, Numbers::default());
    match decide_out(&packet, flow, confirmed, protocol::UDP) {
        FastOut::Own(becomes) => Some((HERE, becomes)),
        FastOut::Reply { uplink, becomes, .. } => Some((uplink, becomes)),
        FastOut::SlowPath => None,
    }
}

fn answered(uplink: UplinkRef, idle: u32) -> Flow {
    flow(uplink, idle).with_last_out(NOW - idle)
}

#[test]
fn a_datagram_whose_flow_says_it_all_writes_nothing() {
    let another = UplinkRef { generation: 2, ..HERE };
    let here = answered(HERE, 0);
    assert_eq!(datagram_in(here, true), Some(here));
    assert_eq!(datagram_out(here, true), Some((HERE, here)));
    assert_eq!(datagram_in(answered(ELSEWHERE, 0), true), None, "the flow is elsewhere");
    assert_eq!(datagram_in(answered(another, 0), true), None, "another device's");
    for uplink in [ELSEWHERE, another] {
        let reply = answered(uplink, 0);
        assert_eq!(datagram_out(reply, true), Some((uplink, reply)));
    }
    assert_eq!(datagram_in(Flow::default(), true), None, "no program wrote it");
    assert_eq!(datagram_out(flow(HERE, 0), true), None, "the first answer");
    let unheard = flow(HERE, 0).with_socket(false);
    assert_eq!(datagram_in(unheard, false), None, "its socket may be there by now");
    let translated = answered(HERE, 0).with_socket(false);
    assert!(datagram_in(translated, true).is_some(), "somebody behind the host answers");
}

#[test]
fn so_does_one_of_the_hosts_own() {
    let own_here = own(HERE, 0).with_last_in(NOW).with_last_out(NOW);
    assert_eq!(datagram_in(own_here.with_heard_here(), true), Some(own_here.with_heard_here()));
    assert_eq!(datagram_in(own_here, true), None, "the first answer here");
    assert_eq!(datagram_in(own_here.with_heard_here(), false), None, "the first answer");
    assert_eq!(datagram_out(own_here, true), Some((HERE, own_here)));
    assert_eq!(datagram_out(own_here, false), None, "the host's second datagram");
}

#[test]
fn a_while_later_only_the_time_is_new() {
    for idle in [SEEN_REFRESH, OTHER_IDLE] {
        let old = answered(HERE, idle);
        assert_eq!(datagram_in(old, true), Some(old.with_last_in(NOW)));
        assert_eq!(datagram_out(old, true), Some((HERE, old.with_last_out(NOW))));
    }
    let over = answered(HERE, OTHER_IDLE + 1);
    assert_eq!((datagram_in(over, true), datagram_out(over, true)), (None, None), "it is over");
    let kept = answered(HERE, UNCONFIRMED_IDLE);
    assert_eq!(datagram_out(kept, false), Some((HERE, kept.with_last_out(NOW))));
    assert_eq!(datagram_out(answered(HERE, UNCONFIRMED_IDLE + 1), false), None, "it is over");
}

#[test]
fn a_stamp_is_left_to_the_slow_path_where_it_exposes_the_address() {
    let packet = comes_in(Kind::Datagram, Numbers::default());
    let is_fast = |idle| decide_in(&packet, answered(HERE, idle), true, true) != FastIn::SlowPath;
    assert!(is_fast(SEEN_REFRESH - 1) && !is_fast(SEEN_REFRESH));
}

#[test]
fn a_datagram_that_confirms_its_flow_takes_the_slow_path() {
    let one_way = flow(HERE, 0);
    assert_eq!(datagram_in(one_way, false), Some(one_way), "nobody answers it");
    assert_eq!(datagram_in(one_way.with_last_out(NOW), false), None, "the second request");
}

#[test]
fn in_last_hop_mode_the_router_must_be_the_same() {
    for (kind, numbers) in [(Kind::Datagram, Numbers::default()), (Kind::Tcp, acknowledges(900))] {
        let flow = connection(HERE).with_router(SECOND_ROUTER);
        let packet = comes_in(kind, numbers);
        let from = |router| decide_in(&InboundPacket { router, ..packet }, flow, true, false);
        assert_eq!(from(SECOND_ROUTER), FastIn::Write(flow));
        assert_eq!(from(SECOND_ROUTER + 2), FastIn::SlowPath);
    }
    let reply = connection(ELSEWHERE).with_router(SECOND_ROUTER);
    let packet = leaves(Kind::Datagram, Numbers::default());
    let FastOut::Reply { uplink, router, .. } = decide_out(&packet, reply, true, protocol::UDP)
    else {
        panic!("a reply is steady");
    };
    assert_eq!((uplink, router), (ELSEWHERE, SECOND_ROUTER));
}

/// Sent up to 1000, heard up to 900, received up to 5000.
fn connection(uplink: UplinkRef) -> Flow {
    answered(uplink, 0).with_sent(1000).with_heard(900).with_received(5000)
}

fn acknowledges(acknowledgement: u32) -> Numbers {
    Numbers { sequence: 5000, acknowledgement, flags: TcpFlags::new(true, false) }
}

#[test]
fn a_connection_goes_on_with_its_numbers_written_in_place() {
    let flow = connection(HERE);
    let into = |acknowledgement, confirmed| {
        let packet = comes_in(Kind::Tcp, acknowledges(acknowledgement));
        decide_in(&packet, flow, confirmed, false)
    };
    assert_eq!(into(900, true), FastIn::Write(flow));
    assert_eq!(into(1000, true), FastIn::Write(flow.with_heard(1000)));
    assert_eq!(into(5_000_000, true), FastIn::Write(flow), "nothing that was sent");
    assert_eq!(into(1000, false), FastIn::SlowPath, "not confirmed");
    for uplink in [HERE, ELSEWHERE] {
        let flow = connection(uplink);
        let out = |sequence, acknowledgement| {
            let tcp = Numbers { sequence, acknowledgement, flags: TcpFlags::new(true, false) };
            decide_out(&leaves(Kind::Tcp, tcp), flow, true, protocol::TCP)
        };
        let next = flow.with_sent(1010).with_received(5100);
        assert_eq!(out(1000, 5100), FastOut::Reply { uplink, router: 0, becomes: next });
        assert_eq!(out(990, 5100), FastOut::SlowPath, "sent again");
        assert_eq!(out(1000, 1 << 30), FastOut::SlowPath, "of another connection");
    }
}
