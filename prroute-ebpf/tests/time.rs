//! Stamps of every age up to sixty days.

use prroute_common::flow::{
    CLOSED_IDLE, Flow, OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH, TCP_IDLE, UNCONFIRMED_IDLE,
    is_over,
};
use prroute_common::time::{AHEAD, Ticks, is_within, seconds, since};
use prroute_common::udp_origin::{HostPeer, UdpOrigin};
use prroute_ebpf::decide::UplinkRef;
use prroute_ebpf::decide::syn_cache::SynSlot;
use prroute_ebpf::decide::udp_origin::{self, first_request, is_hosts};
use prroute_ebpf::wire::parse::protocol;
use prroute_ebpf::wire::{Ipv4, Wire as _};

const SIXTY_DAYS: Ticks = seconds(60 * 86_400);
/// Wherever the clock stands, also shortly before it comes round.
const TIMES: [Ticks; 4] = [SIXTY_DAYS + 1, 1 << 28, 1 << 31, u32::MAX];
const HERE: UplinkRef = UplinkRef { id: 1, generation: 1 };

#[test]
fn what_was_long_ago_is_never_just_now() {
    for now in TIMES {
        for age in 0..=SIXTY_DAYS {
            assert_eq!(since(now, now.wrapping_sub(age)), age, "at {now}");
        }
        for ahead in 1..=AHEAD {
            assert_eq!(since(now, now.wrapping_add(ahead)), 0, "another CPU is ahead");
        }
        for ahead in [AHEAD + 1, seconds(10), SIXTY_DAYS, 1 << 31] {
            assert!(since(now, now.wrapping_add(ahead)) > SIXTY_DAYS, "{ahead} ahead is old");
        }
    }
}

#[test]
fn what_is_within_a_limit_was_less_than_that_ago() {
    for now in TIMES {
        for limit in [1, SEEN_REFRESH, UNCONFIRMED_IDLE, OTHER_IDLE, TCP_IDLE, SIXTY_DAYS] {
            let around_the_limit = limit.saturating_sub(2)..=limit + 2;
            let ahead = (0..=AHEAD + 2).map(|ahead| 0u32.wrapping_sub(ahead));
            let far = [SIXTY_DAYS, 1 << 31, u32::MAX - SIXTY_DAYS];
            for age in around_the_limit.chain(ahead).chain(0..=2).chain(far) {
                let then = now.wrapping_sub(age);
                let is_within = is_within(now, then, limit);
                assert_eq!(is_within, since(now, then) < limit, "{age} ago, {limit} at {now}");
            }
        }
    }
}

/// Every hour, and every tick around the limits.
fn ages() -> impl Iterator<Item = Ticks> {
    let limits =
        [SEEN_REFRESH, UNCONFIRMED_IDLE, OTHER_REBIND_IDLE, CLOSED_IDLE, OTHER_IDLE, TCP_IDLE];
    let around = limits.into_iter().flat_map(|limit| limit - 2..=limit + 2);
    (0..=SIXTY_DAYS).step_by(seconds(3600) as usize).chain(around)
}

#[test]
fn an_entry_that_was_over_stays_over() {
    for now in TIMES {
        for age in ages() {
            let then = now.wrapping_sub(age);
            let entries = [
                (Flow::inbound(1, 1, then), true, protocol::TCP, TCP_IDLE),
                (Flow::inbound(1, 1, then).with_reset(), true, protocol::TCP, CLOSED_IDLE),
                (Flow::inbound(1, 1, then), true, protocol::UDP, OTHER_IDLE),
                (Flow::inbound(1, 1, then), false, protocol::TCP, UNCONFIRMED_IDLE),
                (Flow::by_host(1, 1, then), true, protocol::TCP, TCP_IDLE),
                (Flow::by_host(1, 1, then), false, protocol::UDP, OTHER_IDLE),
            ];
            for (flow, confirmed, protocol, limit) in entries {
                assert_eq!(is_over(&flow, confirmed, protocol, now), age > limit, "{age} {flow:?}");
            }
        }
    }
}

#[test]
fn a_request_of_long_ago_is_over() {
    for now in TIMES {
        for age in ages() {
            let then = now.wrapping_sub(age);
            let asked = UdpOrigin { last_reply: then, ..first_request(7_u32, then) };
            assert_eq!(udp_origin::is_over(&asked, now), age > OTHER_IDLE, "{age} at {now}");
            let host = HostPeer { opened_at: then, last_sent: then };
            assert!(!is_hosts(&host, false, now), "a peer that the host spoke to, {age} at {now}");
        }
    }
}

#[test]
fn a_syn_in_the_cache_is_found_for_as_long_as_an_unconfirmed_flow() {
    let key = Ipv4::key(1, 2, 3, protocol::TCP);
    let slot: SynSlot = Ipv4::syn_slot(&key, |_| 7);
    for now in TIMES {
        for age in ages() {
            let then = now.wrapping_sub(age);
            let found = slot.cached(slot.word(HERE, then), now).map(|syn| syn.time);
            assert_eq!(found, (age <= UNCONFIRMED_IDLE).then_some(then), "{age} at {now}");
        }
    }
}
