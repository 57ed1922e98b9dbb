//! From which address a wildcard UDP server answers, question by question.

use prroute_common::address::{Address4, address4};
use prroute_common::flow::{HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH};
use prroute_common::udp_origin::{HostPeer, UdpOrigin};
use prroute_ebpf::family::Ipv4;
use prroute_ebpf::source::{answer, first, is_hosts, question, sent_unasked};

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
        Self { asked: first(address, NOW), now: NOW }
    }

    fn confirmed(address: Address4) -> Self {
        let mut conversation = Self::opened(address);
        assert_eq!(conversation.answer(), Some(address));
        conversation.ask(address);
        assert_eq!(conversation.answer(), Some(address));
        conversation
    }

    fn ask(&mut self, address: Address4) {
        question::<Ipv4>(&mut self.asked, address, self.now);
    }

    fn answer(&mut self) -> Option<Address4> {
        answer(&mut self.asked, false, self.now)
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
        assert_eq!(conversation.answer(), Some(address));
    }
}

#[test]
fn many_answers_to_one_question_come_from_the_address_asked() {
    let mut conversation = Conversation::opened(A);
    for _ in 0..20 {
        conversation.wait(OTHER_IDLE / 2);
        assert_eq!(conversation.answer(), Some(A));
    }
}

#[test]
fn a_foreign_question_gets_one_answer_of_a_confirmed_conversation() {
    let mut conversation = Conversation::confirmed(A);
    conversation.ask(B);
    conversation.ask(B);
    assert_eq!(conversation.answer(), Some(B));
    for _ in 0..5 {
        conversation.wait(OTHER_REBIND_IDLE / 8);
        assert_eq!(conversation.answer(), Some(A));
    }
}

#[test]
fn an_idle_address_is_taken_over() {
    let mut conversation = Conversation::confirmed(A);
    conversation.wait(OTHER_REBIND_IDLE);
    conversation.ask(B);
    for _ in 0..3 {
        assert_eq!(conversation.answer(), Some(B));
    }
}

#[test]
fn questions_keep_an_address_from_being_taken_over() {
    let mut conversation = Conversation::confirmed(A);
    for _ in 0..4 {
        conversation.wait(OTHER_REBIND_IDLE - 1);
        conversation.ask(A);
    }
    conversation.ask(B);
    assert_eq!(conversation.answer(), Some(B));
    assert_eq!(conversation.answer(), Some(A));
}

/// A telephone that has registered is called from where it did.
#[test]
fn a_service_speaks_first_from_where_it_was_asked() {
    let mut conversation = Conversation::confirmed(A);
    for _ in 0..2 {
        conversation.wait(OTHER_IDLE + 1);
        assert_eq!(answer(&mut conversation.asked, true, conversation.now), Some(A));
        assert_eq!(conversation.answer(), Some(A));
    }
    let mut answered = Conversation::opened(A);
    answered.answer();
    answered.wait(OTHER_IDLE + 1);
    let client = answer(&mut answered.asked, true, answered.now);
    assert_eq!(client, None, "at a client's port one question is none");
    assert_eq!(answered.answer(), Some(A));
    conversation.ask(A);
    conversation.wait(OTHER_IDLE + 1);
    let client = answer(&mut conversation.asked, true, conversation.now);
    assert_eq!(client, Some(A), "one question after a pause goes on with it");
    conversation.ask(B);
    assert_eq!(conversation.answer(), Some(B));
    let mut unanswered = Conversation::opened(A);
    unanswered.wait(OTHER_IDLE + 1);
    assert_eq!(unanswered.answer(), None);
}

/// Forged questions would last for as long as the host sends.
#[test]
fn answers_prolong_no_question() {
    let mut conversation = Conversation::opened(A);
    for wait in [OTHER_IDLE / 2, OTHER_IDLE / 2] {
        conversation.wait(wait);
        assert_eq!(answer(&mut conversation.asked, true, conversation.now), Some(A));
    }
    conversation.wait(2);
    assert_eq!(answer(&mut conversation.asked, true, conversation.now), None);
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
    assert_eq!(conversation.answer(), Some(A));
    assert_eq!(conversation.asked, before);
    conversation.wait(1);
    conversation.ask(A);
    assert_eq!(conversation.answer(), Some(A));
    let UdpOrigin { last_question, last_answer, .. } = conversation.asked;
    assert_eq!((last_question, last_answer), (conversation.now, conversation.now));
}
