//! Last hop: by which router a confirmed flow is answered.

use prroute_common::flow::{Flow, ROUTER_IDLE, TCP_REBIND_IDLE};
use prroute_ebpf::decide::{
    Inbound, InboundPacket, inbound, is_preferred_in, may_be_superseded_in,
};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags};

use crate::{HERE, NOW, arrival, flow, known};

const OLD: u64 = 0x0100_0000_0002;
const NEW: u64 = 0x0200_0000_0002;

fn connection(idle: u32) -> Flow {
    flow(HERE, idle).with_router(OLD).with_sent(9000).with_heard(8000).with_received(500)
}

fn segment(kind: Kind, sequence: u32, acknowledgement: u32) -> InboundPacket {
    let tcp = Numbers { sequence, acknowledgement, flags: TcpFlags::new(true, false) };
    InboundPacket { tcp, router: NEW, ..arrival(kind, None) }
}

fn router(verdict: &Inbound) -> u64 {
    match verdict {
        Inbound::Refresh(flow) | Inbound::Confirm(flow) => flow.router(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_changes_its_router_for_who_knows_its_numbers() {
    let live = known(connection(0), true);
    for (kind, numbers, expected) in [
        (Kind::Tcp, (500, 8500), NEW),
        (Kind::Tcp, (900, 9000), NEW),
        (Kind::Tcp, (500, 77), OLD),
        (Kind::Tcp, (0x7000_0000, 9000), OLD),
        (Kind::TcpReset, (500, 8500), OLD),
        (Kind::TcpReset, (1, 1), OLD),
        (Kind::TcpAnswer, (500, 8500), OLD),
        (Kind::TcpOpening, (500, 8500), OLD),
    ] {
        let verdict = inbound(&segment(kind, numbers.0, numbers.1), live, true);
        assert_eq!(router(&verdict), expected, "{kind:?} {numbers:?}");
    }
    let nobody = InboundPacket { router: 0, ..segment(Kind::Tcp, 500, 8500) };
    assert_eq!(router(&inbound(&nobody, live, true)), OLD, "no address that can be sent to");
}

#[test]
fn an_unconfirmed_flow_is_answered_by_the_router_of_its_last_packet() {
    let opened = known(flow(HERE, 0).with_router(OLD), false);
    for kind in [Kind::TcpOpening, Kind::Datagram] {
        assert_eq!(router(&inbound(&segment(kind, 1, 0), opened, true)), NEW, "{kind:?}");
    }
}

#[test]
fn datagrams_change_their_router_when_the_old_one_is_silent() {
    let at = |idle| known(flow(HERE, idle).with_router(OLD).with_last_out(NOW), true);
    let datagram = segment(Kind::Datagram, 0, 0);
    let datagram = InboundPacket { tcp: Numbers::default(), ..datagram };
    let soon = inbound(&datagram, at(ROUTER_IDLE - 1), true);
    assert_eq!(router(&soon), OLD);
    let Inbound::Refresh(kept) = soon else { panic!("{soon:?}") };
    assert_eq!(kept.last_in(), NOW - (ROUTER_IDLE - 1), "the old one counts as silent still");
    assert_eq!(router(&inbound(&datagram, at(ROUTER_IDLE), true)), NEW);
    let unknown = known(flow(HERE, 0).with_last_out(NOW), true);
    assert_eq!(router(&inbound(&datagram, unknown, true)), NEW, "none was noted");
}

#[test]
fn a_connection_on_old_ports_through_another_router_is_recorded_beside() {
    let silent = known(connection(TCP_REBIND_IDLE), true).unwrap();
    let syn = segment(Kind::TcpOpening, 70, 0);
    let Inbound::Open(opened) = inbound(&syn, Some(silent), true) else { panic!("not beside") };
    assert_eq!((opened.router(), opened.received()), (NEW, Some(71)));
    let answered = known(opened.with_sent(4001), false).unwrap();
    let ack = segment(Kind::Tcp, 71, 4001);
    assert!(may_be_superseded_in(&silent, &ack) && is_preferred_in(&answered, &ack));
    assert!(matches!(inbound(&ack, Some(answered), true), Inbound::Confirm(_)));
}
