//! When a gateway answered last, and since when it does not.

use super::*;

pub(super) fn silence(health: &Health) -> Option<Silence> {
    let (silent, silence) = health.silences().next()?;
    (silent == key()).then_some(silence)
}

#[test]
fn a_silence_lasts_from_the_first_question_without_an_answer_until_one_comes() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Resolved), start);
    let asked = start + 9_000 * MS;
    health.note(key(), NeighbourState::Probing, asked);
    assert_eq!(silence(&health), None, "it may still answer");
    health.expire(asked + 1_800 * MS);
    let begun = Some(Silence { since: asked, seen_to_begin: true });
    assert_eq!(silence(&health), begun);
    health.note(key(), NeighbourState::Failed, asked + 3_000 * MS);
    health.note(key(), NeighbourState::Incomplete, asked + 4_000 * MS);
    assert_eq!(silence(&health), begun, "the kernel asks again");
    health.note(key(), NeighbourState::Resolved, asked + 5_000 * MS);
    assert_eq!(silence(&health), None);
}

/// A daemon that starts does not know for how long.
#[test]
fn a_gateway_that_was_silent_before_it_was_watched_may_have_been_so_for_longer() {
    let start = Instant::now();
    let unknown = Some(Silence { since: start, seen_to_begin: false });
    assert_eq!(silence(&watching(Some(NeighbourState::Failed), start)), unknown);
    let mut health = watching(Some(NeighbourState::Incomplete), start);
    health.expire(start + 800 * MS);
    assert_eq!(silence(&health), unknown);
}

#[test]
fn the_last_answer_is_remembered_however_often_it_is_asked_since() {
    let start = Instant::now();
    let mut health = watching(None, start);
    assert_eq!(health.last_answer(key()), None);
    let mut say = |state, ms: u32| {
        let (ifindex, address) = key();
        let state = Some(state);
        health.hear(&NeighbourEvent { at: start + ms * MS, ifindex, address, state });
        health.last_answer(key())
    };
    assert_eq!(say(NeighbourState::Resolved, 2), Some(start + 2 * MS));
    assert_eq!(say(NeighbourState::Resolved, 1000), Some(start + 2 * MS), "nobody asked");
    assert_eq!(say(NeighbourState::Probing, 2000), Some(start + 2 * MS));
    assert_eq!(say(NeighbourState::Resolved, 2001), Some(start + 2001 * MS));
    assert_eq!(say(NeighbourState::Probing, 4000), Some(start + 2001 * MS));
    assert_eq!(say(NeighbourState::Failed, 7000), Some(start + 2001 * MS));
    assert_eq!(say(NeighbourState::Resolved, 9000), Some(start + 9000 * MS));
    let gone = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &gone, &health).0);
    health.watch(&gone, &uplinks, |_| true, start + 9500 * MS);
    assert_eq!(
        health.last_answer(key()),
        Some(start + 9000 * MS),
        "the entry went, not the gateway"
    );
}
