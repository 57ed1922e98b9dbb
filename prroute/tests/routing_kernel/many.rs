//! Hosts with many addresses.

use std::time::Instant;

use prroute::state::plan::{Op, Plan};

use super::harness::*;

/// 64 uplinks with 1,000 addresses.
#[test]
fn a_large_host_takes_few_rules() {
    in_namespace(|| async {
        let mut batch = String::new();
        for link in 0..64 {
            batch += &format!("link add up{link} type veth peer name p{link}\n");
            batch += &format!("link set up{link} up\nlink set p{link} up\n");
            for address in 2..18 {
                batch += &format!("addr add 10.1.{link}.{address}/24 dev up{link}\n");
            }
            batch += &format!("route add default via 10.1.{link}.1 dev up{link} metric {link}\n");
        }
        ip_batch(&batch);
        let mut reconciler = Loop::new().await;
        let start = Instant::now();
        let plan = reconciler.reconcile().await;
        let all = start.elapsed();
        let start = Instant::now();
        let (_, uplinks, rest) = reconciler.plan().await;
        eprintln!("start {all:?}, one look afterwards {:?}", start.elapsed());
        assert!(rest.is_empty());
        assert_eq!(uplinks.len(), 64);
        let rules = plan.ops.iter().filter_map(|op| match op {
            Op::AddRule(rule) => Some(rule),
            _ => None,
        });
        assert_eq!(rules.filter(|rule| rule.table != 0).count(), 128);
        assert_eq!(passed_by_strangers("-4"), 3 + 3, "the kernel's rules and three of ours");
    });
}

/// So many addresses of two uplinks on one subnet, in turn: no prefix is one uplink's.
fn one_subnet(addresses: usize) -> Peer {
    let peer = Peer::new();
    peer.link("up1", &["10.0.255.254/16", "2001:db8::ffff/64"]);
    peer.link("up2", &[]);
    let mut batch = String::new();
    for n in 0..addresses {
        let (device, number) = (n % 2 + 1, n / 2 * 3 + n % 2 + 1);
        let (high, low) = (number / 256, number % 256);
        batch += &format!("addr add 10.0.{high}.{low}/16 dev up{device}\n");
        batch += &format!("addr add 2001:db8::{number:x}/64 dev up{device} nodad\n");
    }
    for (device, metric) in [("up1", 1), ("up2", 2)] {
        batch += &format!("route add default via 10.0.255.254 dev {device} metric {metric}\n");
        batch += &format!("route add default via 2001:db8::ffff dev {device} metric {metric}\n");
    }
    ip_batch(&batch);
    settled();
    peer
}

/// Rules that a packet of no uplink's source is compared with: it is never `from` anything, and
/// always `not from` it.
fn passed_by_strangers(family: &str) -> usize {
    let list = ip(&format!("{family} rule show"));
    let rules: Vec<(u32, &str)> = list
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(priority, rule)| (priority.parse().unwrap(), rule))
        .collect();
    let (mut at, mut passed) = (0, 0);
    while let Some((_, rule)) = rules.get(at) {
        passed += 1;
        at += 1;
        if rule.trim().starts_with("not from")
            && let Some((_, target)) = rule.split_once("goto ")
        {
            let target: u32 = target.split_whitespace().next().unwrap().parse().unwrap();
            at = rules.iter().position(|(priority, _)| *priority == target).unwrap();
        }
    }
    passed
}

#[test]
fn strangers_pass_few_rules_and_every_address_has_its_way() {
    in_namespace(|| async {
        let peer = one_subnet(120);
        let before = dumps();
        let mut reconciler = Loop::new().await;
        let plan = reconciler.reconcile().await;
        assert!(plan.ops.iter().filter(|op| matches!(op, Op::AddRule(_))).count() > 2 * 360);
        for family in ["-4", "-6"] {
            let passed = passed_by_strangers(family);
            assert!(passed <= 7, "{family}: {passed}, the kernel's own included");
        }
        for (source, device) in [
            ("10.0.0.1", "up1"),
            ("10.0.0.2", "up2"),
            ("10.0.0.91", "up1"),
            ("10.0.0.92", "up2"),
            ("10.0.0.178", "up1"),
            ("10.0.0.179", "up2"),
        ] {
            assert_eq!(way("192.0.2.1", source), format!("10.0.255.254 {device}"));
            assert_eq!(way("10.0.77.7", source), format!("- {device}"));
        }
        for (source, device) in [("2001:db8::1", "up1"), ("2001:db8::b3", "up2")] {
            assert_eq!(way("2001:db8:99::1", source), format!("2001:db8::ffff {device}"));
            assert_eq!(way("2001:db8::7777", source), format!("- {device}"));
        }

        // Foreign rules behind the block have their turn, and ours have theirs before them.
        ip("rule add to 192.0.2.0/24 lookup 200 priority 30000");
        ip("route add 192.0.2.0/24 via 10.0.255.253 dev up2 table 200");
        let unbound = ip("route get 192.0.2.1");
        assert!(unbound.contains("via 10.0.255.253 dev up2"), "{unbound}");
        assert_eq!(way("192.0.2.1", "10.0.0.1"), "10.0.255.254 up1");
        ip("rule del priority 30000");
        ip("route flush table 200");

        reconciler.undo().await;
        assert_eq!(dumps(), before);
        sh(&plan);
        let (_, _, rest) = reconciler.plan().await;
        let rest: Vec<&Op> =
            rest.ops.iter().filter(|op| !matches!(op, Op::ManageNeighbour(_))).collect();
        assert!(rest.is_empty(), "as printed: {rest:?}");
        drop(peer);
    });
}

/// What the kernel says to every operation of a plan that moves rules from section to section.
#[test]
fn sections_follow_addresses() {
    in_namespace(|| async {
        let peer = one_subnet(40);
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let shortcuts = |plan: &Plan| {
            let is_shortcut = |op: &&Op| matches!(op, Op::AddRule(rule) if rule.is_shortcut());
            plan.ops.iter().filter(is_shortcut).count()
        };
        ip("addr add 10.0.200.1/16 dev up1");
        ip("addr add 10.0.200.2/16 dev up2");
        assert!(shortcuts(&reconciler.reconcile().await) > 0);
        assert_eq!(way("192.0.2.1", "10.0.200.2"), "10.0.255.254 up2");
        ip("addr del 10.0.200.1/16 dev up1");
        ip("addr del 10.0.200.2/16 dev up2");
        reconciler.reconcile().await;
        ip("addr flush dev up2 scope global");
        ip("addr add 10.0.0.2/16 dev up2");
        ip("route add default via 10.0.255.254 dev up2 metric 2");
        reconciler.reconcile().await;
        assert_eq!(passed_by_strangers("-4"), 3 + 3);
        drop(peer);
    });
}
