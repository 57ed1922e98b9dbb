//! From which address a wildcard UDP server answers, request by request.

use prroute_common::address::{Address4, address4};
use prroute_common::flow::{ANSWER_TIME, HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH};
use prroute_common::udp_origin::{HostPeer, UdpOrigin};
use prroute_ebpf::decide::udp_origin::{
    first_request, is_hosts, is_settled, record_request, sent_unasked, source_for_reply,
};
use prroute_ebpf::wire::Ipv4;

const A: Address4 = address4([10, 0, 1, 10]);
const B: Address4 = address4([10, 0, 2, 10]);
const NOW: u32 = 1_000_000;

/// A peer's conversation with one port, and the time.
struct Conversation {
    asked: UdpOrigin<Address4>,
    now: u32,
}

impl Conversation {
    fn opened(address: Address4) -> Self {
        Self { asked: first_request(address, NOW), now: NOW }
    }

    fn confirmed(address: Address4) -> Self {
        let mut conversation = Self::opened(address);
        assert_eq!(conversation.source_for_reply(), Some(address));
        conversation.ask(address);
        assert_eq!(conversation.source_for_reply(), Some(address));
        conversation
    }

    fn ask(&mut self, address: Address4) {
        record_request::<Ipv4>(&mut self.asked, address, self.now);
    }

    fn source_for_reply(&mut self) -> Option<Address4> {
        source_for_reply(&mut self.asked, false, self.now)
    }

    fn wait(&mut self, ticks: u32) {
        self.now += ticks;
    }
}

#[test]
fn one_address_after_the_other_from_one_port() {
    let mut conversation = Conversation::opened(A);
    for address in [A, B, A, B, B, A, A, A, B, B, B, A] {
        conversation.ask(address);
        assert_eq!(conversation.source_for_reply(), Some(address));
    }
}

#[test]
fn many_answers_to_one_request_come_from_the_address_asked() {
    let mut conversation = Conversation::opened(A);
    for _ in 0..20 {
        conversation.wait(OTHER_IDLE / 2);
        assert_eq!(conversation.source_for_reply(), Some(A));
    }
}

#[test]
fn a_foreign_request_gets_one_answer_of_a_confirmed_conversation() {
    let mut conversation = Conversation::confirmed(A);
    conversation.ask(B);
    conversation.ask(B);
    assert_eq!(conversation.source_for_reply(), Some(B));
    for _ in 0..5 {
        conversation.wait(OTHER_REBIND_IDLE / 8);
        assert_eq!(conversation.source_for_reply(), Some(A));
    }
}

/// A server that has no answer to garbage sends its next datagram to its client, and not to who forged it.
#[test]
fn an_answer_elsewhere_is_due_for_a_second_and_until_the_next_request() {
    let mut conversation = Conversation::confirmed(A);
    conversation.ask(B);
    assert!(!is_settled(&conversation.asked, &A, conversation.now), "a request to A counts");
    conversation.ask(A);
    assert!(is_settled(&conversation.asked, &A, conversation.now));
    assert_eq!(conversation.source_for_reply(), Some(A), "the answer to the request");
    for silence in [ANSWER_TIME, OTHER_REBIND_IDLE - 1, 60 * 86_400 * 7] {
        let mut conversation = Conversation::confirmed(A);
        conversation.ask(B);
        conversation.wait(silence);
        for _ in 0..2 {
            assert_eq!(conversation.source_for_reply(), Some(A), "unasked, after {silence} ticks");
        }
    }
    let mut conversation = Conversation::confirmed(A);
    conversation.ask(B);
    conversation.wait(ANSWER_TIME - 1);
    assert_eq!(conversation.source_for_reply(), Some(B));
    assert_eq!(conversation.source_for_reply(), Some(A));
}

#[test]
fn an_idle_address_is_taken_over() {
    let mut conversation = Conversation::confirmed(A);
    conversation.wait(OTHER_REBIND_IDLE);
    conversation.ask(B);
    for _ in 0..3 {
        assert_eq!(conversation.source_for_reply(), Some(B));
    }
}

#[test]
fn requests_keep_an_address_from_being_taken_over() {
    let mut conversation = Conversation::confirmed(A);
    for _ in 0..4 {
        conversation.wait(OTHER_REBIND_IDLE - 1);
        conversation.ask(A);
    }
    conversation.ask(B);
    assert_eq!(conversation.source_for_reply(), Some(B));
    assert_eq!(conversation.source_for_reply(), Some(A));
}

/// A telephone that has registered is called from where it did.
#[test]
fn a_service_speaks_first_from_where_it_was_asked() {
    let mut conversation = Conversation::confirmed(A);
    for _ in 0..2 {
        conversation.wait(OTHER_IDLE + 1);
        assert_eq!(source_for_reply(&mut conversation.asked, true, conversation.now), Some(A));
        assert_eq!(conversation.source_for_reply(), Some(A));
    }
    let mut answered = Conversation::opened(A);
    answered.source_for_reply();
    answered.wait(OTHER_IDLE + 1);
    let client = source_for_reply(&mut answered.asked, true, answered.now);
    assert_eq!(client, None, "at a client's port one request is none");
    assert_eq!(answered.source_for_reply(), Some(A));
    conversation.ask(A);
    conversation.wait(OTHER_IDLE + 1);
    let client = source_for_reply(&mut conversation.asked, true, conversation.now);
    assert_eq!(client, Some(A), "one request after a pause goes on with it");
    conversation.ask(B);
    assert_eq!(conversation.source_for_reply(), Some(B));
    let mut unanswered = Conversation::opened(A);
    unanswered.wait(OTHER_IDLE + 1);
    assert_eq!(unanswered.source_for_reply(), None);
}

/// Forged requests would last for as long as the host sends.
#[test]
fn answers_prolong_no_request() {
    let mut conversation = Conversation::opened(A);
    for wait in [OTHER_IDLE / 2, OTHER_IDLE / 2] {
        conversation.wait(wait);
        assert_eq!(source_for_reply(&mut conversation.asked, true, conversation.now), Some(A));
    }
    conversation.wait(2);
    assert_eq!(source_for_reply(&mut conversation.asked, true, conversation.now), None);
}

#[test]
fn a_peer_that_the_host_sends_to_unasked_is_the_hosts() {
    let mut peer = HostPeer { opened_at: NOW, last_sent: NOW };
    for later in [0, OTHER_IDLE, 60 * 86_400 * 7] {
        assert!(is_hosts(&peer, true, NOW + later), "a client's port, for good");
    }
    assert!(!is_hosts(&peer, false, NOW + HOST_FIRST), "a service may be asked yet");
    let mut now = NOW;
    for _ in 0..3 {
        now += OTHER_IDLE;
        sent_unasked(&mut peer, now);
        assert_eq!(peer, HostPeer { opened_at: NOW, last_sent: now });
    }
    assert!(is_hosts(&peer, false, now + OTHER_IDLE), "it goes on for long");
    assert!(!is_hosts(&peer, false, now + OTHER_IDLE + 1), "it has stopped");
    now += OTHER_IDLE + 1;
    sent_unasked(&mut peer, now);
    assert_eq!(peer, HostPeer { opened_at: now, last_sent: now }, "and begins anew");
}

#[test]
fn a_packet_that_says_nothing_new_writes_nothing() {
    let mut conversation = Conversation::confirmed(A);
    let before = conversation.asked;
    conversation.wait(SEEN_REFRESH - 1);
    conversation.ask(A);
    assert_eq!(conversation.source_for_reply(), Some(A));
    assert_eq!(conversation.asked, before);
    conversation.wait(1);
    conversation.ask(A);
    assert_eq!(conversation.source_for_reply(), Some(A));
    let UdpOrigin { last_request, last_reply, .. } = conversation.asked;
    assert_eq!((last_request, last_reply), (conversation.now, conversation.now));
}
