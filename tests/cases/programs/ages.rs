//! What the programs noted weeks ago: nothing of it wakes up again.

use prroute_common::reason::Reason;
use prroute_common::time::{Ticks, seconds};

use super::awkward::fragment;
use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::openings::connect_elsewhere;
use super::steering::{CLIENT, OWNED_2};

const SHARED: [(&str, u16); 2] = [("192.0.2.80", 5060), ("2001:db8::80", 5060)];

/// Days up to sixty: among them those after which a stamp of 24 bits comes round (26), half way there,
/// and twice. Every tick of them is in `prroute-ebpf/tests/time.rs`.
const DAYS: [u64; 11] = [1, 6, 13, 14, 20, 26, 27, 40, 52, 53, 60];

fn ages() -> impl Iterator<Item = Ticks> {
    DAYS.into_iter().map(|days| seconds(days * 86_400 + 7200))
}

fn at_every_age(test: fn(&mut Fixture, usize, Ticks)) {
    with_fixture(move |fixture| {
        for age in ages() {
            for family in 0..2 {
                test(fixture, family, age);
                fixture.forget_flows();
                // No address stays exposed.
                fixture.age_but_syns(seconds(700));
            }
        }
    });
}

/// A peer with a port of its own that has moved to another uplink meanwhile.
#[test]
fn datagrams_are_answered_where_they_come_in_now() {
    at_every_age(|fixture, family, age| {
        let (peer, shared) = (CLIENT[family], SHARED[family]);
        let (request, answer) = (frame(Kind::Udp, peer, shared), frame(Kind::Udp, shared, peer));
        for _ in 0..3 {
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(fixture.egress(1, &answer), REDIRECT);
        }
        fixture.age_but_syns(age);
        for number in 0..8 {
            assert_eq!(fixture.ingress(1, &request), PASS);
            assert_eq!(fixture.egress(2, &answer), REDIRECT, "answer {number} after {age} ticks");
        }
    });
}

#[test]
fn connections_are_over() {
    at_every_age(|fixture, family, age| {
        let (client, shared) = (CLIENT[family], SHARED[family]);
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), REDIRECT);
        assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, shared)), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, client)), REDIRECT);
        fixture.age_but_syns(age);
        assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, client)), PASS, "{age} ticks");
        // A new one is recorded where it comes in, and confirmed there.
        let confirmed = fixture.count(1, Reason::Confirmed);
        assert_eq!(fixture.ingress(1, &frame(Kind::Syn, client, shared)), PASS);
        assert_eq!(fixture.egress(2, &frame(Kind::SynAck, shared, client)), REDIRECT);
        assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, shared)), PASS);
        assert_eq!(fixture.count(1, Reason::Confirmed), confirmed + 1, "{age} ticks");
    });
}

/// Of an address that is not exposed, nothing is looked up that leaves by its owner.
#[test]
fn an_address_is_exposed_no_more() {
    at_every_age(|fixture, family, age| {
        let (client, owned) = (CLIENT[family], OWNED_2[family]);
        connect_elsewhere(fixture, client, owned);
        fixture.age(age);
        // The entry would lead to uplink 1.
        connect_again(fixture, client, owned);
        assert_eq!(fixture.egress(2, &frame(Kind::Ack, owned, client)), PASS, "{age} ticks");
        assert_eq!(fixture.noted().len(), 1, "the SYN is in the cache, and nowhere else");
        fixture.forget_openings();
    });
}

fn connect_again(fixture: &mut Fixture, client: (&str, u16), owned: (&str, u16)) {
    assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
    assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), PASS);
    assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, owned)), PASS);
}

#[test]
fn a_syn_in_the_cache_is_forgotten() {
    at_every_age(|fixture, family, age| {
        let (client, owned) = (CLIENT[family], OWNED_2[family]);
        let recorded = fixture.count(2, Reason::OpenedInbound);
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
        fixture.age(age);
        assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), REDIRECT);
        let now = fixture.count(2, Reason::OpenedInbound);
        assert_eq!(now, recorded, "to the owner without a record, {age} ticks");
        fixture.forget_openings();
    });
}

#[test]
fn what_the_host_opened_is_forgotten_where_it_serves() {
    at_every_age(|fixture, family, age| {
        let (peer, shared) = (CLIENT[family], SHARED[family]);
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, shared, peer)), PASS);
        assert_eq!(fixture.ingress(1, &frame(Kind::Udp, peer, shared)), PASS);
        fixture.age_but_syns(age);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, peer, shared)), PASS);
        let answer = frame(Kind::Udp, shared, peer);
        assert_eq!(fixture.egress(1, &answer), REDIRECT, "{age} ticks");
    });
}

/// Identifications come round much sooner than stamps.
#[test]
fn a_fragment_does_not_follow_the_first_one_of_another_packet() {
    with_fixture(|fixture| {
        for age in ages() {
            let (peer, shared) = (CLIENT[0], SHARED[0]);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, peer, shared)), PASS);
            let answer = frame(Kind::Udp, shared, peer);
            assert_eq!(fixture.egress(1, &fragment(answer.clone(), 0, true)), REDIRECT);
            let later = fragment(answer, 64, false);
            assert_eq!(fixture.egress(1, &later), REDIRECT);
            fixture.age_but_syns(age);
            let overtook = fixture.count(1, Reason::FragmentOvertook);
            assert_eq!(fixture.egress(1, &later), PASS, "after {age} ticks");
            assert_eq!(fixture.count(1, Reason::FragmentOvertook), overtook + 1);
            fixture.forget_flows();
        }
    });
}
