use std::net::IpAddr;

use super::super::{Desired, desire};
use super::*;
use crate::config::Config;
use crate::state::fixture::{Host, crowd, ip, many, rule};
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::walk::{Packet, walk};

fn desired(host: &Host) -> Desired {
    desire(&Config::default(), &host.0, &host.uplinks(), &SavedSysctls::default())
}

fn rules(host: &Host) -> Vec<Rule> {
    desired(host).rules.into_iter().collect()
}

/// What each source must ask, in this order, whatever else is there.
fn expected(rules: &[Rule], source: IpAddr) -> Vec<(u32, Option<u32>)> {
    let flat: Vec<Rule> = rules.iter().filter(|r| !r.invert && r.table != 0).cloned().collect();
    walk(&flat, Packet::from(source)).asked
}

/// Packets of sources that are none of the uplinks'.
fn strangers() -> Vec<Packet> {
    let foreign = ["172.17.0.1", "11.0.0.1", "9.255.255.255", "fd00::1", "2001:db9::1"].map(ip);
    let unbound = Family::BOTH.map(Packet::unbound);
    let mut packets: Vec<Packet> = foreign.into_iter().map(Packet::from).collect();
    packets.extend(unbound);
    packets.extend(["10.0.0.1", "2001:db8::1", "192.0.2.1"].map(ip).map(Packet::forwarded));
    packets
}

#[test]
fn strangers_pass_few_rules_whatever_the_number_of_addresses() {
    for count in [40, 200, 1_000, 4_000] {
        let rules = rules(&crowd(&many(count)));
        assert!(rules.len() >= usize::from(count) * 3, "nothing could be aggregated");
        for packet in strangers() {
            let walk = walk(&rules, packet);
            assert_eq!(walk.asked, [], "{packet:?}");
            assert!(walk.passed <= 5, "{packet:?} of {count} addresses: {}", walk.passed);
        }
    }
}

/// Addresses all over the place: no prefix around them keeps strangers out.
#[test]
fn scattered_addresses_cost_strangers_no_more_than_a_rule_per_section() {
    let addresses: Vec<IpAddr> = (1..=250_u8)
        .map(|n| ip(&format!("{}.7.{n}.1", [12, 44, 100, 130, 192, 203][usize::from(n) % 6])))
        .collect();
    let mut host = crowd(&[]);
    for (address, device) in addresses.iter().zip(["eth0", "eth1"].into_iter().cycle()) {
        host = host.address(device, &format!("{address}/32"));
    }
    let rules = rules(&host);
    assert!(rules.len() > 500);
    for packet in strangers().into_iter().filter(|packet| packet.family == Family::V4) {
        let passed = walk(&rules, packet).passed;
        assert!(passed <= SECTIONS + 3, "{packet:?}: {passed}");
    }
}

#[test]
fn sources_of_uplinks_and_shared_ones_ask_what_they_asked_before() {
    let addresses = many(1_000);
    let mut host = crowd(&addresses);
    let shared: Vec<IpAddr> = (1..=40).map(|n| ip(&format!("203.0.113.{n}"))).collect();
    for address in &shared {
        host = host.address("lo", &format!("{address}/32"));
    }
    let rules = rules(&host);
    for address in addresses.iter().chain(&shared) {
        let asked = walk(&rules, Packet::from(*address));
        assert_eq!(asked.asked, expected(&rules, *address), "{address}");
        assert!(asked.asked.len() >= 2, "{address}: {asked:?}");
        assert!(asked.passed < 400, "{address}: {}", asked.passed);
    }
}

/// Also when another program deletes one of them, or what they lead to.
#[test]
fn no_shortcut_decides_anything() {
    let addresses = many(200);
    let all = rules(&crowd(&addresses));
    let is_auxiliary = |rule: &Rule| rule.is_shortcut() || rule.table == 0;
    let auxiliary: Vec<&Rule> = all.iter().filter(|rule| is_auxiliary(rule)).collect();
    assert!(auxiliary.len() > 2 * 8, "{auxiliary:?}");
    for gone in auxiliary {
        let rest: Vec<Rule> = all.iter().filter(|rule| *rule != gone).cloned().collect();
        for address in &addresses {
            let asked = walk(&rest, Packet::from(*address)).asked;
            assert_eq!(asked, expected(&all, *address), "{address} without {gone}");
        }
        for packet in strangers() {
            assert_eq!(walk(&rest, packet).asked, [], "{packet:?} without {gone}");
        }
    }
}

#[test]
fn few_rules_are_not_worth_a_shortcut() {
    let rules = rules(&crowd(&many(8)));
    assert!(rules.iter().all(|rule| !rule.is_shortcut() && rule.priority != 21_099));
}

/// It would be skipped with ours.
#[test]
fn where_a_rule_of_others_stands_between_nothing_is_skipped() {
    for (priority, skips) in [(21_050, true), (21_051, false), (21_099, false), (21_100, true)] {
        let mut host = crowd(&many(200));
        host.0.rules.push(rule(Family::V4, priority, None, 77, 4));
        let rules = rules(&host);
        let skipped = |family| rules.iter().any(|r| r.is_shortcut() && r.family == family);
        assert_eq!(skipped(Family::V4), skips, "{priority}");
        assert!(skipped(Family::V6), "it is none of IPv6's");
    }
}

/// Rules that move are deleted and added: thousands of them for every address would be too much.
#[test]
fn one_more_address_seldom_moves_rules_of_others() {
    let mut moves = Vec::new();
    for count in 980..1_030 {
        let before = desired(&crowd(&many(count))).rules;
        let after = desired(&crowd(&many(count + 1))).rules;
        moves.push(before.difference(&after).count());
    }
    let many = moves.iter().filter(|moved| **moved > 4).count();
    assert!(many <= 2, "once per family, when addresses double: {moves:?}");
}
