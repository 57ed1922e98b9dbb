//! Where packets leave.

use prroute_ebpf::decide::{
    Locality, Outbound, OutboundPacket, Write, inbound_needs_flow, outbound, outbound_needs_flow,
};
use prroute_ebpf::wire::parse::Kind;

use crate::{ELSEWHERE, HERE, KINDS, departure, flow, known, own};

#[test]
fn replies_leave_by_the_recorded_uplink() {
    for kind in [Kind::Tcp, Kind::EchoReply, Kind::Datagram, Kind::Error] {
        for place in [HERE, ELSEWHERE] {
            let verdict = outbound(&departure(kind, 1, 0), known(flow(place, 0), true));
            let Outbound::Reply { uplink: to, .. } = verdict else {
                panic!("{kind:?}: {verdict:?}")
            };
            assert_eq!(to, place);
        }
    }
}

#[test]
fn an_icmp_error_neither_opens_nor_refreshes() {
    let error = departure(Kind::Error, 0, 0);
    assert_eq!(outbound(&error, None), Outbound::Pass);
    assert_eq!(outbound(&error, known(own(HERE, 1), true)), Outbound::Own(Write::Nothing));
    let verdict = outbound(&error, known(flow(ELSEWHERE, 9), true));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Nothing, .. }), "{verdict:?}");
    for destination in [Locality::Shared, Locality::OwnedHere, Locality::NotLocal] {
        assert!(!inbound_needs_flow(Kind::Error, destination, true, true));
    }
}

#[test]
fn what_the_host_opens_is_never_moved() {
    for before in [None, known(flow(ELSEWHERE, 0), true), known(flow(ELSEWHERE, 0), false)] {
        let verdict = outbound(&departure(Kind::TcpOpening, 1, 0), before);
        assert_eq!(verdict, Outbound::OpenByHost(own(HERE, 0)));
    }
    for kind in KINDS {
        let verdict = outbound(&departure(kind, 1, 0), known(own(ELSEWHERE, 3), true));
        assert!(matches!(verdict, Outbound::Own(_)), "{kind:?}: {verdict:?}");
    }
    assert!(!outbound_needs_flow(Kind::EchoRequest, Locality::Shared, false, false, false));
}

#[test]
fn an_unknown_local_reply_follows_the_routing_tables() {
    for source in [Locality::Shared, Locality::OwnedBy(2), Locality::OwnedHere] {
        let of = |kind| OutboundPacket { source, ..departure(kind, 1, 0) };
        assert_eq!(outbound(&of(Kind::EchoReply), None), Outbound::Pass);
        assert_eq!(outbound(&of(Kind::Datagram), None), Outbound::OpenByHost(own(HERE, 0)));
    }
}

/// R1: a specific route of main may come at any age of a connection.
#[test]
fn a_connection_without_a_record_belongs_to_the_owner_of_its_address() {
    let of = |kind, source| OutboundPacket { source, ..departure(kind, 1, 0) };
    for kind in [Kind::Tcp, Kind::TcpAnswer, Kind::TcpReset] {
        let verdict = outbound(&of(kind, Locality::OwnedBy(2)), None);
        assert_eq!(verdict, Outbound::ToOwner(2), "{kind:?}");
        for source in [Locality::Shared, Locality::OwnedHere, Locality::NotLocal] {
            assert_eq!(outbound(&of(kind, source), None), Outbound::Pass, "{kind:?}");
        }
    }
    let attempt = outbound(&of(Kind::TcpOpening, Locality::OwnedBy(2)), None);
    assert_eq!(attempt, Outbound::OpenByHost(own(HERE, 0)), "which is its record");
    let established = outbound(&of(Kind::Tcp, Locality::OwnedBy(2)), known(own(HERE, 1), false));
    let Outbound::Own(Write::Confirm(kept)) = established else { panic!("{established:?}") };
    assert_eq!(kept.opened_at(), own(HERE, 1).opened_at(), "and outlives an attempt's");
}

#[test]
fn an_unknown_forwarded_reply_leaves_by_the_owner_of_its_source() {
    let of = |kind, source| OutboundPacket { source, forwarded: true, ..departure(kind, 1, 0) };
    for kind in [Kind::Tcp, Kind::TcpAnswer, Kind::EchoReply, Kind::Datagram] {
        let verdict = outbound(&of(kind, Locality::OwnedBy(2)), None);
        assert_eq!(verdict, Outbound::ToOwner(2), "{kind:?}");
    }
    assert_eq!(outbound(&of(Kind::Tcp, Locality::Shared), None), Outbound::Pass);
    let syn = outbound(&of(Kind::TcpOpening, Locality::OwnedBy(2)), None);
    assert_eq!(syn, Outbound::OpenByHost(own(HERE, 0)), "a SYN without ACK is never redirected");
}

/// A transparent proxy speaks with its client's server's address, which is not this host's.
#[test]
fn a_program_with_a_foreign_address_is_answered_for_like_a_guest() {
    let foreign = |kind| OutboundPacket { source: Locality::NotLocal, ..departure(kind, 1, 0) };
    let answered = known(flow(ELSEWHERE, 0).with_last_out(crate::NOW), true);
    let decision = outbound(&foreign(Kind::Datagram), answered);
    assert!(matches!(decision, Outbound::Reply { uplink: ELSEWHERE, .. }), "{decision:?}");
    for (entry, told) in [(None, "no flow"), (known(flow(ELSEWHERE, 0), true), "not answered")] {
        for kind in [Kind::Datagram, Kind::Tcp, Kind::TcpOpening] {
            assert_eq!(outbound(&foreign(kind), entry), Outbound::Pass, "{told}, {kind:?}");
        }
    }
}

/// R2, where the datapath keeps it.
#[test]
fn the_hosts_own_packets_have_an_owner_but_for_what_main_routes_more_specifically() {
    use prroute_ebpf::decide::owner_for_own;
    let owner = |is_kept_here, forwarded, source, has_own_gateway, is_specific| {
        owner_for_own(is_kept_here, forwarded, source, HERE.id, || has_own_gateway, || is_specific)
    };
    let elsewhere = Locality::OwnedBy(ELSEWHERE.id);
    assert_eq!(owner(true, false, elsewhere, false, false), Some(ELSEWHERE.id));
    assert_eq!(owner(true, false, elsewhere, false, true), None, "main routes it here");
    assert_eq!(owner(true, true, elsewhere, false, false), None, "a guest's");
    assert_eq!(owner(false, false, elsewhere, false, false), None, "rules see to it");
    assert_eq!(owner(true, false, Locality::OwnedHere, false, false), None, "it is there");
    let its_subnets_gateway = owner(true, false, Locality::OwnedHere, true, false);
    assert_eq!(its_subnets_gateway, Some(HERE.id));
    for source in [Locality::Shared, Locality::NotLocal] {
        assert_eq!(owner(true, false, source, true, false), None, "{source:?}");
    }
}
