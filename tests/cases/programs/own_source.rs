//! `own-source = "datapath"`: what is the host's own and left by another uplink because of a default
//! route goes to the owner of its source.

use prroute::config::{OwnSource, Reply};
use prroute::state::uplink::OwnSources;
use prroute_common::reason::Reason;
use prroute_common::trace::Filter;

use super::fixture::{DROP, Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

const OWNED_1: [(&str, u16); 2] = [("10.0.1.2", 443), ("fd00:1::2", 443)];
const SHARED: [(&str, u16); 2] = [("192.0.2.80", 443), ("2001:db8::80", 443)];
/// What `main` routes over uplink 1, and a host in it; the last is on its link.
const ROUTED: [&str; 2] = ["198.51.100.0/24", "2001:db8:77::/48"];
const IN_ROUTED: [(&str, u16); 2] = [("198.51.100.7", 80), ("2001:db8:77::7", 80)];
const ON_LINK: [(&str, u16); 2] = [("10.0.1.77", 80), ("fd00:1::77", 80)];

fn with_datapath(test: impl FnOnce(&mut Fixture) + Send + 'static) {
    with_fixture(|fixture| {
        for uplink in &mut fixture.uplinks {
            let datapath = OwnSource::Datapath;
            uplink.device.own_source = OwnSources { v4: datapath, v6: datapath };
        }
        fixture.uplinks[0].device.main_routes = ROUTED.map(|net| net.parse().unwrap()).into();
        // On-link prefixes of IPv6 are facts as those of IPv4 are.
        fixture.uplinks[0].device.on_link.push("fd00:1::/64".parse().unwrap());
        fixture.sync();
        test(fixture);
    });
}

#[test]
fn the_hosts_own_packets_leave_by_the_owner_of_their_source() {
    with_datapath(|fixture| {
        let kinds = [Kind::Syn, Kind::Ack, Kind::Udp, Kind::EchoRequest, Kind::Ack, Kind::Udp];
        let mut moved = 0;
        for (remote, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in kinds {
                assert_eq!(fixture.egress(1, &frame(kind, owned, remote)), REDIRECT, "{kind:?}");
                moved += 1;
                assert_eq!(fixture.egress(2, &frame(kind, owned, remote)), PASS, "{kind:?}");
            }
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), moved);
        for (remote, owned) in CLIENT.into_iter().zip(OWNED_1) {
            for kind in kinds {
                assert_eq!(fixture.egress(1, &frame(kind, owned, remote)), PASS, "{kind:?}");
            }
        }
    });
}

/// The address goes and comes back, or another version of the programs takes over and has to be told of it.
#[test]
fn a_connection_that_came_in_elsewhere_outlives_the_entry_of_its_address() {
    with_datapath(|fixture| {
        let data = |to: (&str, u16), from| frame(Kind::Ack, from, to);
        for (client, owned) in CLIENT.into_iter().zip(OWNED_1) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), PASS);
            assert_eq!(fixture.ingress(2, &data(owned, client)), PASS);
            assert_eq!(fixture.egress(2, &data(client, owned)), PASS, "where it came in");
        }
        let locals = std::mem::take(&mut fixture.locals);
        fixture.sync();
        fixture.locals = locals;
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_1) {
            assert_eq!(fixture.egress(2, &data(client, owned)), PASS, "the host speaks first");
        }
    });
}

/// An address of all uplinks comes to belong to one of them.
#[test]
fn a_connection_that_came_in_elsewhere_outlives_a_change_of_its_addresss_owner() {
    with_fixture(|fixture| {
        let owned = fixture.locals.clone();
        fixture.locals.iter_mut().for_each(|local| local.owner = None);
        fixture.sync();
        for (client, address) in CLIENT.into_iter().zip(OWNED_1) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, address)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, address, client)), REDIRECT);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, address)), PASS);
        }
        fixture.locals = owned;
        fixture.sync();
        for (client, address) in CLIENT.into_iter().zip(OWNED_1) {
            let speaks_first = frame(Kind::Ack, address, client);
            assert_eq!(fixture.egress(1, &speaks_first), REDIRECT, "the host speaks first");
        }
    });
}

#[test]
fn nothing_of_it_moves_where_rules_see_to_that() {
    with_fixture(|fixture| {
        for (remote, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Syn, Kind::Udp, Kind::EchoRequest] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, remote)), PASS, "{kind:?}");
            }
        }
    });
}

#[test]
fn what_main_routes_more_specifically_stays() {
    with_datapath(|fixture| {
        for remotes in [IN_ROUTED, ON_LINK] {
            for (remote, owned) in remotes.into_iter().zip(OWNED_2) {
                for kind in [Kind::Syn, Kind::Ack, Kind::Udp, Kind::Udp, Kind::EchoRequest] {
                    let told = format!("{kind:?} to {}", remote.0);
                    assert_eq!(fixture.egress(1, &frame(kind, owned, remote)), PASS, "{told}");
                }
            }
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 0);
    });
}

/// R1 before R2: a request that came in there takes its reply along.
#[test]
fn a_reply_leaves_by_the_uplink_of_its_request_all_the_same() {
    with_datapath(|fixture| {
        for (remotes, told) in [(IN_ROUTED, "main routes it"), (CLIENT, "by default")] {
            for (client, owned) in remotes.into_iter().zip(OWNED_2) {
                for (request, reply) in [(Kind::Syn, Kind::SynAck), (Kind::Udp, Kind::Udp)] {
                    assert_eq!(fixture.ingress(2, &frame(request, client, owned)), PASS);
                    assert_eq!(fixture.egress(1, &frame(reply, owned, client)), REDIRECT, "{told}");
                }
            }
        }
        let before = fixture.count(1, Reason::Redirected);
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (client, told) = ((client.0, 40_001), "asked over uplink 1");
            for (request, reply) in [(Kind::Syn, Kind::SynAck), (Kind::Udp, Kind::Udp)] {
                assert_eq!(fixture.ingress(1, &frame(request, client, owned)), PASS);
                assert_eq!(fixture.egress(1, &frame(reply, owned, client)), PASS, "{told}");
                assert_eq!(fixture.egress(2, &frame(reply, owned, client)), REDIRECT, "{told}");
            }
        }
        assert_eq!(fixture.count(1, Reason::Redirected), before + 4);
    });
}

#[test]
fn what_is_forwarded_or_shared_is_not_the_hosts_own() {
    with_datapath(|fixture| {
        for (remote, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let syn = frame(Kind::Syn, owned, remote);
            assert_eq!(fixture.egress_forwarded(1, &syn), PASS, "a guest's");
        }
        for (remote, shared) in CLIENT.into_iter().zip(SHARED) {
            for kind in [Kind::Syn, Kind::Udp, Kind::EchoRequest] {
                assert_eq!(fixture.egress(1, &frame(kind, shared, remote)), PASS, "{kind:?}");
            }
        }
    });
}

#[test]
fn an_owner_that_is_down_leaves_it_to_the_kernel_or_holds_it() {
    with_datapath(|fixture| {
        fixture.uplinks[1].device.up = false;
        fixture.sync();
        let syn = frame(Kind::Syn, OWNED_2[0], CLIENT[0]);
        assert_eq!(fixture.egress(1, &syn), PASS);
        assert_eq!(fixture.count(2, Reason::UplinkDown), 1);
        fixture.uplinks[1].device.hold = true;
        fixture.sync();
        assert_eq!(fixture.egress(1, &syn), super::fixture::DROP);
    });
}

#[test]
fn an_uplink_that_gets_no_replies_still_gets_what_has_its_source() {
    with_datapath(|fixture| {
        fixture.uplinks[1].device.reply = Reply::Off;
        fixture.sync();
        for (remote, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Syn, Kind::Ack, Kind::Udp, Kind::Udp, Kind::EchoRequest] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, remote)), REDIRECT, "{kind:?}");
            }
            let data = frame(Kind::Ack, owned, (remote.0, 50_000));
            assert_eq!(fixture.egress_forwarded(1, &data), PASS, "a guest's, without a record");
        }
    });
}

/// Its conversations too, which were replies to it before.
#[test]
fn an_uplink_that_gets_no_replies_any_more_still_gets_what_has_its_source() {
    with_datapath(|fixture| {
        let exchanges = || CLIENT.into_iter().zip(OWNED_2);
        for (client, owned) in exchanges() {
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
        }
        fixture.uplinks[1].device.reply = Reply::Off;
        fixture.sync();
        for (client, owned) in exchanges() {
            for _ in 0..3 {
                assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
            }
        }
        assert_eq!(fixture.count(2, Reason::Redirected), 2);
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 6);
    });
}

/// It came in on a third uplink, which cannot carry replies now.
#[test]
fn a_reply_whose_uplink_cannot_carry_it_goes_to_the_owner_of_its_source() {
    for (up, reason) in [(false, Reason::UplinkDown), (true, Reason::NoNextHop)] {
        with_datapath(move |fixture| {
            fixture.add_third();
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                assert_eq!(fixture.ingress(3, &frame(Kind::Udp, client, owned)), PASS);
                assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
            }
            assert_eq!(fixture.count(3, Reason::Redirected), 2);
            let third = &mut fixture.uplinks[2].device;
            third.up = up;
            (third.way_out.v4.resolved, third.way_out.v6.resolved) = (false, false);
            fixture.sync();
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                for _ in 0..3 {
                    assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
                }
            }
            assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 6);
            assert_eq!(fixture.count(3, reason), 6);
            fixture.uplinks[2].device.hold = true;
            fixture.sync();
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, OWNED_2[0], CLIENT[0])), DROP);
        });
    }
}

/// The kernel chose it, and knows better: it has a next hop before its daemon says so.
#[test]
fn a_reply_that_leaves_by_its_uplink_stays_there_whatever_is_known_of_it() {
    for (up, reported) in [(true, false), (true, true), (false, false)] {
        with_datapath(move |fixture| {
            let first = &mut fixture.uplinks[0].device;
            first.up = up;
            (first.way_out.v4.resolved, first.way_out.v6.resolved) = (false, false);
            fixture.sync();
            let _tracer = reported.then(|| fixture.tracer(Filter::NONE));
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                for (request, reply) in [(Kind::Syn, Kind::SynAck), (Kind::Udp, Kind::Udp)] {
                    assert_eq!(fixture.ingress(1, &frame(request, client, owned)), PASS);
                    for n in 0..3 {
                        let told = format!("{reply:?} {n}, up {up}, reported {reported}");
                        assert_eq!(fixture.egress(1, &frame(reply, owned, client)), PASS, "{told}");
                    }
                }
            }
            assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 0);
        });
    }
}

/// Also where main sends it out of that uplink itself: what the uplink gets no replies for is no reply.
#[test]
fn a_reply_whose_uplink_gets_none_any_more_goes_to_the_owner_also_from_that_uplink() {
    for reported in [false, true] {
        with_datapath(move |fixture| {
            let answer = |fixture: &mut Fixture, way: i32| {
                for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                    for n in 0..3 {
                        let told = format!("reply {n}, reported {reported}");
                        assert_eq!(
                            fixture.egress(1, &frame(Kind::Udp, owned, client)),
                            way,
                            "{told}"
                        );
                    }
                }
            };
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                assert_eq!(fixture.ingress(1, &frame(Kind::Udp, client, owned)), PASS);
            }
            answer(fixture, PASS);
            fixture.uplinks[0].device.reply = Reply::Off;
            fixture.sync();
            let _tracer = reported.then(|| fixture.tracer(Filter::NONE));
            answer(fixture, REDIRECT);
            assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 6);
        });
    }
}

#[test]
fn a_reply_whose_uplink_is_the_owner_and_cannot_carry_it_is_counted_once() {
    for (up, reason) in [(false, Reason::UplinkDown), (true, Reason::NoNextHop)] {
        with_datapath(move |fixture| {
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, owned)), PASS);
                assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
            }
            let second = &mut fixture.uplinks[1].device;
            second.up = up;
            (second.way_out.v4.resolved, second.way_out.v6.resolved) = (false, false);
            fixture.sync();
            for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
                for _ in 0..3 {
                    assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), PASS);
                }
            }
            assert_eq!(fixture.count(2, reason), 6);
        });
    }
}

/// Another device has the uplink's id by now.
#[test]
fn a_reply_whose_uplink_is_gone_goes_to_the_owner_of_its_source() {
    with_datapath(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.ingress(1, &frame(Kind::Udp, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), PASS, "there");
        }
        fixture.uplinks[0].generation += 1;
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), REDIRECT);
        }
        assert_eq!(fixture.count(1, Reason::UplinkGone), 2);
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 2);
    });
}
