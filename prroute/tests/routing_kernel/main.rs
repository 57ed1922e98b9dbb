//! The routing plane against the real kernel. Needs root: every case runs in network namespaces
//! of its own, which go with the thread and the process that hold them.
#![expect(clippy::print_stderr, reason = "the time a large host takes is worth seeing")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod flapping;
mod gateways;
mod harness;
mod many;
mod monitor;
mod units;

use std::process::Command;

use prroute::state::plan::Op;
use prroute::state::undo;

use harness::*;

#[test]
fn applied_state_is_stable_and_undone_without_a_trace() {
    in_namespace(|| async {
        let peer = two_networks();
        ip("addr add 198.51.100.1/32 dev lo");
        ip("addr add 2001:db8:ff::1/128 dev lo");
        // Objects of others, before and behind our block.
        ip("rule add priority 500 from 203.0.113.9 lookup 77");
        ip("rule add priority 30000 to 203.0.113.0/24 lookup 77");
        ip("route add 203.0.113.0/24 via 10.0.2.1 table 77");
        let before = dumps();

        let mut reconciler = Loop::new().await;
        let plan = reconciler.reconcile().await;
        assert!(plan.ops.len() > 20, "{plan}");
        assert_eq!(way("192.0.2.1", "10.0.2.10"), "10.0.2.1 up2");
        assert_eq!(way("192.0.2.1", "10.0.1.10"), "10.0.1.1 up1");
        assert_eq!(way("2001:db8:99::1", "2001:db8:2::10"), "2001:db8:2::1 up2");
        assert_eq!(way("10.0.1.1", "10.0.2.10"), "- up1", "main's specific routes come first");
        assert_eq!(way("203.0.113.5", "198.51.100.1"), "10.0.1.1 up1");

        // A shared address has a way out when main has none.
        ip("route flush root 0.0.0.0/0 exact 0.0.0.0/0 table main");
        ip("route add default via 10.0.2.1 table 88");
        ip("route add default via 10.0.1.1 table 88 metric 5");
        reconciler.reconcile().await;
        assert_eq!(way("192.0.2.1", "198.51.100.1"), "10.0.1.1 up1");
        ip("route flush table 88");
        ip("route add default via 10.0.1.1 dev up1 metric 1");
        ip("route add default via 10.0.2.1 dev up2 metric 2");
        reconciler.reconcile().await;

        reconciler.undo().await;
        assert_eq!(dumps(), before);
        assert!(!ip("neigh show").contains("proto 213"));
        drop(peer);
    });
}

#[test]
fn the_printed_commands_do_the_same() {
    in_namespace(|| async {
        let peer = two_networks();
        ip("addr add 198.51.100.1/32 dev lo");
        let mut reconciler = Loop::new().await;
        let (observed, _, plan) = reconciler.plan().await;
        sh(&plan);
        let by_hand = dumps();
        let (_, _, rest) = reconciler.plan().await;
        assert!(rest.is_empty(), "{rest}");
        reconciler.undo().await;
        reconciler.apply(&observed, &plan).await;
        assert_eq!(dumps(), by_hand);
        drop(peer);
    });
}

#[test]
fn a_plan_that_fails_midway_leaves_nothing() {
    in_namespace(|| async {
        let peer = two_networks();
        std::fs::write("/proc/sys/net/ipv4/conf/up2/rp_filter", "1").unwrap();
        let before = dumps();
        let reconciler = Loop::new().await;
        let (_, _, mut plan) = reconciler.plan().await;
        assert!(plan.ops.iter().any(|op| matches!(op, Op::LoosenRpFilter(_))));
        let route = plan.ops.iter().find_map(|op| match op {
            Op::AddRoute(route) => Some(route.clone()),
            _ => None,
        });
        // The same key again: EEXIST is harmless for rules, not for routes.
        plan.ops.push(Op::AddRoute(route.unwrap()));
        let error = reconciler.kernel.apply(&plan).await.unwrap_err();
        assert!(error.not_taken_back.is_empty(), "{error}");
        assert!(error.to_string().contains("route add"), "{error}");
        assert!(error.to_string().contains("File exists"), "{error}");
        assert_eq!(dumps(), before);
        let filter = std::fs::read_to_string("/proc/sys/net/ipv4/conf/up2/rp_filter").unwrap();
        assert_eq!(filter.trim(), "1");
        drop(peer);
    });
}

#[test]
fn two_uplinks_on_one_subnet_each_answer_for_themselves() {
    in_namespace(|| async {
        let peer = Peer::new();
        peer.link("up1", &["10.0.0.1/24"]);
        peer.link("up2", &[]);
        ip("addr add 10.0.0.10/24 dev up1");
        ip("addr add 10.0.0.11/24 dev up2");
        ip("route add default via 10.0.0.1 dev up1");
        ip("route add default via 10.0.0.1 dev up2 metric 9");
        settled();
        let before = dumps();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        assert_eq!(way("10.0.0.77", "10.0.0.11"), "- up2");
        assert_eq!(way("10.0.0.77", "10.0.0.10"), "- up1");
        assert_eq!(way("192.0.2.1", "10.0.0.11"), "10.0.0.1 up2");
        reconciler.undo().await;
        assert_eq!(dumps(), before);
    });
}

/// The rules concern the host's own packets: a forwarded one with a source of the same prefix
/// goes where main sends it. Without `iif lo` the client of the second uplink's subnet would get
/// its packets back.
#[test]
fn rules_match_own_packets_and_not_forwarded_ones() {
    in_namespace(|| async {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        let (far, client) = (Peer::new(), Peer::new());
        for (n, peer) in [(1, &far), (2, &client)] {
            let gateways = [format!("10.0.{n}.1/24"), format!("2001:db8:{n}::1/64")];
            peer.link(&format!("up{n}"), &gateways.each_ref().map(String::as_str));
            ip(&format!("addr add 10.0.{n}.10/24 dev up{n}"));
            ip(&format!("addr add 2001:db8:{n}::10/64 dev up{n} nodad"));
            ip(&format!("route add default via 10.0.{n}.1 dev up{n} metric {n}"));
            ip(&format!("-6 route add default via 2001:db8:{n}::1 dev up{n} metric {n}"));
            peer.ip(&format!("route add default via 10.0.{n}.10"));
            peer.ip(&format!("-6 route add default via 2001:db8:{n}::10"));
        }
        far.ip("link set lo up");
        far.ip("addr add 192.0.2.1/32 dev lo");
        far.ip("addr add 2001:db8:99::1/128 dev lo");
        settled();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;

        assert_eq!(way("192.0.2.1", "10.0.2.10"), "10.0.2.1 up2");
        assert_eq!(way("2001:db8:99::1", "2001:db8:2::10"), "2001:db8:2::1 up2");
        for destination in ["192.0.2.1", "2001:db8:99::1"] {
            let asked = || client.try_run(&format!("ping -n -c1 -W1 {destination}"));
            until("an answer to a forwarded packet", asked);
        }
        for family in ["-4", "-6"] {
            let rules = ip(&format!("{family} rule show priority 21030"));
            for rule in rules.lines().filter_map(|line| line.split_once(':')) {
                ip(&format!("{family} rule add priority 21030 {}", rule.1.replace("iif lo", "")));
            }
        }
        for destination in ["192.0.2.1", "2001:db8:99::1"] {
            let asked = client.try_run(&format!("ping -n -c1 -W1 {destination}"));
            assert!(!asked, "the same rules without iif lo break it: what makes this a test");
        }
    });
}

/// Whatever the configuration adds is what the kernel then shows, prints as commands that do the
/// same, and goes without a trace.
#[test]
fn what_the_configuration_adds_is_stable_too() {
    in_namespace(|| async {
        let peer = two_networks();
        let before = dumps();
        let mut reconciler = Loop::new().await;
        reconciler.config = configured(
            "on-down = \"hold\"\nbind-device = true\n[[uplink]]\nname = \"up2\"\ntable = 21900\n\
             to = [\"192.0.2.0/24\", \"198.51.100.0/24\", \"198.51.100.7\", \"2001:db8:53::/48\"]\n\
             [[uplink]]\nname = \"up1\"\nto = [\"198.51.100.0/25\"]\n",
        );
        let plan = reconciler.reconcile().await;
        let applied = dumps();
        let way_to = |to: &str| ip(&format!("route get {to}")).contains("dev up2");
        assert!(way_to("192.0.2.1") && way_to("2001:db8:53::1"));
        assert!(!way_to("198.51.100.1"), "the longer prefix goes over the other uplink");
        assert!(way_to("198.51.100.7") && way_to("198.51.100.200"));
        assert_eq!(way("192.0.2.1", "10.0.1.10"), "10.0.1.1 up1", "replies win");
        let bound = ip("route get 203.0.113.1 oif up2");
        assert!(bound.contains("via 10.0.2.1 dev up2 table 21900"), "{bound}");

        // Without carrier nothing leaves by another uplink; without `hold` it does.
        peer.ip("link set up2p down");
        until("no carrier", || ip("link show up2").contains("NO-CARRIER"));
        reconciler.reconcile().await;
        let lost = "route get 203.0.113.1 from 10.0.2.10".split(' ');
        let held = Command::new("ip").args(lost.clone()).output().unwrap();
        assert!(!held.status.success(), "{}", String::from_utf8_lossy(&held.stdout));
        let held = Command::new("ip").args("route get 192.0.2.1".split(' ')).output().unwrap();
        assert!(!held.status.success(), "{}", String::from_utf8_lossy(&held.stdout));
        peer.ip("link set up2p up");
        until("carrier", || !ip("link show up2").contains("NO-CARRIER"));
        settled();
        ip("-6 route replace default via 2001:db8:2::1 dev up2 metric 2");
        reconciler.reconcile().await;
        assert_eq!(dumps(), applied);

        reconciler.undo().await;
        assert_eq!(dumps(), before);
        sh(&plan);
        assert_eq!(dumps(), applied, "the printed commands do the same");
        reconciler.undo().await;
        drop(peer);
    });
}

#[test]
fn rp_filter_is_loosened_and_restored() {
    in_namespace(|| async {
        let peer = two_networks();
        let filter = |name: &str| format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        let value = |name: &str| std::fs::read_to_string(filter(name)).unwrap().trim().to_owned();
        // A name as VLANs have it.
        peer.link("up2.10", &[]);
        ip("addr add 10.0.10.2/24 dev up2.10");
        ip("route add default via 10.0.10.1 dev up2.10 metric 3");
        for (name, strict) in [("all", "0"), ("up1", "1"), ("up2", "2"), ("up2.10", "1")] {
            std::fs::write(filter(name), strict).unwrap();
        }
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        assert_eq!(["all", "up1", "up2", "up2.10"].map(value), ["0", "2", "2", "2"]);
        // The administrator's word: stands, now and after undoing.
        std::fs::write(filter("up1"), "0").unwrap();
        reconciler.reconcile().await;
        let observed = reconciler.kernel.observe().await.unwrap();
        let plan = undo::undo(&reconciler.config, &observed, &reconciler.saved);
        reconciler.kernel.apply(&plan).await.unwrap();
        assert_eq!(["all", "up1", "up2", "up2.10"].map(value), ["0", "0", "2", "1"]);
        drop(peer);
    });
}
