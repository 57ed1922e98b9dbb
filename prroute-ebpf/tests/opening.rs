//! Words of openings: who finds which again, and for how long.

use std::collections::HashSet;

use proptest::prelude::*;
use prroute_common::flow::UNCONFIRMED_IDLE;
use prroute_common::opening::SLOTS;
use prroute_common::time::MASK;
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::opening::Opening;
use prroute_ebpf::parse::protocol;

const NOW: u32 = 1_000_000;

fn key4(local: u32, remote: u32, ports: u32) -> Opening {
    Ipv4::opening(&Ipv4::key_of_words(local, remote, ports, protocol::TCP), 7)
}

fn key6(local: [u64; 2], remote: [u64; 2], ports: u32, secret: u64) -> Opening {
    Ipv6::opening(&Ipv6::key_of_words(local, remote, ports, protocol::TCP), secret)
}

#[test]
fn a_syn_is_found_again_while_an_unconfirmed_flow_would_be() {
    let opening = key4(1, 2, 3);
    for now in [NOW, MASK, 1] {
        let word = opening.at(now);
        for (later, found) in [(0, true), (UNCONFIRMED_IDLE, true), (UNCONFIRMED_IDLE + 1, false)] {
            let time = opening.time(word, now.wrapping_add(later) & MASK);
            assert_eq!(time, found.then_some(now), "{later} ticks after {now}");
        }
    }
    assert_eq!(opening.time(0, NOW), None, "nobody has written there");
}

#[test]
fn ports_of_one_client_are_spread_over_all_slots() {
    let slots: HashSet<u32> = (0..SLOTS).map(|port| key4(1, 2, port).slot).collect();
    // Balls that are thrown hit 1 - 1/e of as many boxes.
    assert!(slots.len() > SLOTS as usize * 6 / 10, "{} slots", slots.len());
    assert!(slots.iter().all(|slot| *slot < SLOTS));
}

#[test]
fn the_secret_decides_who_shares_a_slot() {
    let with = |secret| (0..4096).map(move |port| key6([1, 2], [3, 4], port, secret).slot);
    let same = with(1).zip(with(2)).filter(|(one, other)| one == other).count();
    assert!(same < 10, "{same} of 4096 ports have the same slot with another secret");
}

proptest! {
    #[test]
    fn no_other_connection_is_taken_for_it(
        one in any::<(u32, u32, u32)>(),
        other in any::<(u32, u32, u32)>(),
        bits in 0u32..96,
    ) {
        let near = match bits / 32 {
            0 => (one.0 ^ 1 << (bits % 32), one.1, one.2),
            1 => (one.0, one.1 ^ 1 << (bits % 32), one.2),
            _ => (one.0, one.1, one.2 ^ 1 << (bits % 32)),
        };
        let of = |(local, remote, ports)| key4(local, remote, ports);
        let word = of(one).at(NOW);
        for (another, what) in [(near, "one bit differs"), (other, "any other")] {
            prop_assume!(another != one);
            prop_assert_eq!(of(another).time(word, NOW), None, "{}", what);
        }
    }

    #[test]
    fn nor_of_ipv6(one in any::<([u64; 2], [u64; 2], u32)>(), bits in 0u32..288) {
        let mut near = one;
        let bit = 1 << (bits % 64);
        match bits / 64 {
            0 | 1 => near.0[bits as usize / 64] ^= bit,
            2 | 3 => near.1[bits as usize / 64 - 2] ^= bit,
            _ => near.2 ^= bit as u32,
        }
        let of = |(local, remote, ports)| key6(local, remote, ports, 7);
        prop_assert_eq!(of(near).time(of(one).at(NOW), NOW), None);
    }
}
