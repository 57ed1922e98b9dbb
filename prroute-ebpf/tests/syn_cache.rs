//! The SYN cache: whose flow finds its SYN again, and for how long.

use std::collections::HashSet;

use proptest::prelude::*;
use prroute_common::flow::UNCONFIRMED_IDLE;
use prroute_common::syn_cache::{KEYS, SLOTS};
use prroute_common::time::AHEAD;
use prroute_ebpf::decide::UplinkRef;
use prroute_ebpf::decide::syn_cache::SynSlot;
use prroute_ebpf::wire::parse::protocol;
use prroute_ebpf::wire::{Ipv4, Ipv6, Wire as _};

const NOW: u32 = 1_000_000;
const PLACE: UplinkRef = UplinkRef { id: 255, generation: 0x1234 };
const SECRET: [u32; KEYS] = [7; KEYS];

fn key4((local, remote, ports): (u32, u32, u32), secret: [u32; KEYS]) -> SynSlot {
    let key = Ipv4::key(local, remote, ports, protocol::TCP);
    Ipv4::syn_slot(&key, |index| secret[index])
}

fn key6((local, remote, ports): ([u64; 2], [u64; 2], u32), secret: [u32; KEYS]) -> SynSlot {
    let key = Ipv6::key(local, remote, ports, protocol::TCP);
    Ipv6::syn_slot(&key, |index| secret[index])
}

#[test]
fn a_syn_is_found_again_while_an_unconfirmed_flow_would_be() {
    let opening = key4((1, 2, 3), SECRET);
    for now in [NOW, u32::MAX, 1] {
        let word = opening.word(PLACE, now);
        let after = |ticks: u32| opening.cached(word, now.wrapping_add(ticks));
        for ticks in [0, UNCONFIRMED_IDLE] {
            let noted = after(ticks).map(|noted| (noted.time, noted.uplink()));
            assert_eq!(noted, Some((now, PLACE.id)), "{ticks} ticks after {now}");
        }
        for ticks in [UNCONFIRMED_IDLE + 1, 1 << 27, (1 << 28) - AHEAD - 1] {
            assert_eq!(after(ticks), None, "{ticks} ticks after {now}");
        }
        assert!(after(u32::MAX).is_some(), "another CPU is a tick ahead");
    }
    assert_eq!(opening.cached(0, NOW), None, "nobody has written there");
}

#[test]
fn a_device_that_gets_the_id_inherits_nothing() {
    let opening = key4((1, 2, 3), SECRET);
    let noted = opening.cached(opening.word(PLACE, NOW), NOW);
    let is_of = |generation| noted.map(|noted| noted.is_of(generation));
    assert_eq!(is_of(PLACE.generation), Some(true));
    assert_eq!(is_of(PLACE.generation + 1), Some(false));
}

#[test]
fn ports_of_one_client_are_spread_over_all_slots() {
    for secret in (0..16).map(|number| secret(1, number)) {
        for key in [|port: u32| port, |port: u32| port << 16] {
            let slot = |port| key4((1, 2, key(port)), secret).index;
            let slots: HashSet<u32> = (0..SLOTS).map(slot).collect();
            // Balls that are thrown hit 1 - 1/e of as many boxes.
            let hit = slots.len() as f64 / f64::from(SLOTS);
            assert!((0.6..0.67).contains(&hit), "{hit} of all slots with {secret:?}");
            assert!(slots.iter().all(|slot| *slot < SLOTS));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever somebody changes in a connection's key, in one word or in several at once: with few
    /// secrets only does it come to the same place, and with none to the same word.
    #[test]
    fn nobody_can_aim_at_another_connections_word(
        one in any::<(u32, u32, u32)>(),
        change in (0u32..32, 0u32..32, 0u32..32).prop_map(|(a, b, c)| (1 << a, 1 << b, 1 << c)),
        which in 1u8..8,
        seed in any::<u32>(),
    ) {
        let changed = |word: u32, bit: u32, number: u8| {
            if which >> number & 1 != 0 { word ^ bit } else { word }
        };
        let other = (
            changed(one.0, change.0, 0),
            changed(one.1, change.1, 1),
            changed(one.2, change.2, 2),
        );
        let wide = |key: (u32, u32, u32)| ([key.0.into(), 1], [2, key.1.into()], key.2);
        let mut met = 0;
        for secret in (0..16).map(|number| secret(seed, number)) {
            for (one, other) in [
                (key4(one, secret), key4(other, secret)),
                (key6(wide(one), secret), key6(wide(other), secret)),
            ] {
                let is_same_slot = one.index == other.index;
                met += u32::from(is_same_slot);
                // Marks alone are equal for one of 2^24 pairs.
                prop_assert!(!is_same_slot || other.cached(one.word(PLACE, NOW), NOW).is_none());
            }
        }
        prop_assert!(met < 3, "the same slot for {} of 32 secrets", met);
    }
}

/// Numbers without structure, others for each seed.
fn secret(seed: u32, number: u32) -> [u32; KEYS] {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut index = 0;
    [(); KEYS].map(|()| {
        let mut hasher = DefaultHasher::new();
        (seed, number, index).hash(&mut hasher);
        index += 1;
        hasher.finish() as u32
    })
}
