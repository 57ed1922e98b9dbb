//! The routing plane against the real kernel. Needs root: every case runs in network namespaces
//! of its own, which go with the thread and the process that hold them.
#![expect(clippy::print_stderr, reason = "the time a large host takes is worth seeing")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod many;

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use prroute::netlink::{Kernel, Monitor};
use prroute::state::observed::NeighbourState;
use prroute::state::plan::Op;
use prroute::state::undo;
use prroute::state::uplink::Uplink;

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

#[test]
fn gateways_of_every_kind_are_accepted_by_the_kernel() {
    in_namespace(|| async {
        let peer = Peer::new();
        peer.link("up1", &["172.31.1.1/32"]);
        ip("addr add 192.0.2.10/32 dev up1");
        ip("route add 172.31.1.1/32 dev up1");
        ip("route add default via 172.31.1.1 dev up1");
        peer.link("up2", &["fe80::1/64"]);
        ip("addr add 192.0.2.11/32 dev up2");
        ip("-4 route add default via inet6 fe80::1 dev up2 metric 7");
        peer.link("up3", &[]);
        ip("addr add 192.0.2.12/32 dev up3");
        ip("route add default via 172.31.9.9 dev up3 onlink metric 8");
        peer.link("up4", &[]);
        ip("addr add 192.0.2.13/32 dev up4");
        ip("addr add 2001:db8:4::2/128 dev up4 nodad");
        ip("route add default dev up4 metric 9");
        ip("-6 route add default via 2001:db8:4444::1 dev up4 onlink");
        peer.link("up5", &[]);
        peer.link("up6", &[]);
        ip("addr add 10.5.0.2/24 dev up5");
        ip("addr add 10.6.0.2/24 dev up6");
        ip("route add default metric 20 nexthop via 10.5.0.1 dev up5 nexthop via 10.6.0.1 dev up6");
        ip("addr add 198.51.100.1/32 dev lo");
        settled();
        let before = dumps();
        let mut reconciler = Loop::new().await;
        let plan = reconciler.reconcile().await;
        let applied = dumps();
        reconciler.undo().await;
        assert_eq!(dumps(), before);
        sh(&plan);
        assert_eq!(dumps(), applied, "the printed commands do the same");
        for (from, expected) in [
            ("192.0.2.10", "172.31.1.1 up1"),
            ("192.0.2.11", "inet6 up2"),
            ("192.0.2.12", "172.31.9.9 up3"),
            ("192.0.2.13", "- up4"),
            ("10.5.0.2", "10.5.0.1 up5"),
            ("10.6.0.2", "10.6.0.1 up6"),
        ] {
            assert_eq!(way("203.0.113.1", from), expected, "from {from}");
        }
        assert_eq!(way("2001:db8:99::1", "2001:db8:4::2"), "2001:db8:4444::1 up4");
        let own = ip("-6 route show table 21004");
        assert_eq!(own.lines().count(), 1, "an address is no prefix: {own}");
        let shared = ip("route show table 21000");
        assert_eq!(shared.lines().count(), 6, "{shared}");
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

#[test]
fn gateways_are_kept_resolved_and_failures_are_heard_of() {
    in_namespace(|| async {
        let peer = two_networks();
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let gateway: IpAddr = "10.0.2.1".parse().unwrap();
        until("the gateway resolved", || {
            let entry = ip("neigh show 10.0.2.1 dev up2");
            entry.contains("lladdr") && entry.contains("managed")
        });
        reconciler.until_usable(&mut monitor, "up2", true).await;

        // Gone, and asked for again: it fails, which is news.
        peer.ip("addr del 10.0.2.1/24 dev up2p");
        ip("neigh del 10.0.2.1 dev up2");
        reconciler.reconcile().await;
        reconciler.until_usable(&mut monitor, "up2", false).await;
        // The kernel's own verdict changes nothing.
        until("the kernel's verdict", || ip("neigh show 10.0.2.1 dev up2").contains("FAILED"));
        let (observed, _) = reconciler.look(&mut monitor).await;
        let failed = |n: &&prroute::state::observed::Neighbour| n.address == gateway;
        let entry = observed.neighbours.iter().find(failed).unwrap();
        assert_eq!(entry.state, NeighbourState::Failed);

        peer.ip("addr add 10.0.2.1/24 dev up2p");
        reconciler.until_usable(&mut monitor, "up2", true).await;
        reconciler.undo().await;
        assert!(!ip("neigh show").contains("managed"));
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

/// The kernel says so after three seconds only.
#[test]
fn a_gateway_that_never_resolves_is_unusable_within_a_second() {
    in_namespace(|| async {
        let peer = two_networks();
        peer.link("up3", &[]);
        ip("addr add 10.0.3.10/24 dev up3");
        ip("route add default via 10.0.3.1 dev up3 metric 3");
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        let (_, uplinks) = reconciler.look(&mut monitor).await;
        assert!(uplinks.iter().all(|u| u.device.gateway4_usable), "nobody was asked yet");
        reconciler.reconcile().await;
        let start = Instant::now();
        reconciler.until_usable(&mut monitor, "up3", false).await;
        let took = start.elapsed();
        eprintln!("unusable after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(!ip("neigh show 10.0.3.1 dev up3").contains("FAILED"), "before the kernel says so");
        let (_, uplinks) = reconciler.look(&mut monitor).await;
        let usable = uplinks.iter().filter(|u| u.device.gateway4_usable).count();
        assert_eq!(usable, 2, "the others answered");
        drop(peer);
    });
}

#[test]
fn a_gateway_that_falls_silent_is_unusable_before_the_kernel_gives_up() {
    in_namespace(|| async {
        let peer = two_networks();
        // The kernel doubts an entry after this time, and waits as long before it asks.
        for (sysctl, value) in [("base_reachable_time_ms", "1000"), ("delay_first_probe_time", "1")]
        {
            std::fs::write(format!("/proc/sys/net/ipv4/neigh/up2/{sysctl}"), value).unwrap();
        }
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        until("the gateway resolved", || ip("neigh show 10.0.2.1 dev up2").contains("lladdr"));
        reconciler.until_usable(&mut monitor, "up2", true).await;
        // Silent, and still there: no carrier tells.
        peer.ip("link set up2p arp off");
        peer.ip("addr del 10.0.2.1/24 dev up2p");
        reconciler.until_usable(&mut monitor, "up2", false).await;
        let entry = ip("neigh show 10.0.2.1 dev up2");
        assert!(!entry.contains("FAILED"), "before the kernel says so: {entry}");
        peer.ip("addr add 10.0.2.1/24 dev up2p");
        peer.ip("link set up2p arp on");
        reconciler.until_usable(&mut monitor, "up2", true).await;
        drop(peer);
    });
}

/// The kernel takes such a route for nothing at once, and says so half a minute later.
#[test]
fn an_expired_gateway_is_none_before_the_kernel_says_so() {
    in_namespace(|| async {
        let peer = two_networks();
        std::fs::write("/proc/sys/net/ipv6/route/gc_interval", "3600").unwrap();
        ip("-6 route del default via 2001:db8:2::1 dev up2");
        ip("-6 route add default via 2001:db8:2::1 dev up2 metric 2 expires 1");
        let reconciler = Loop::new().await;
        let gateway = |uplinks: &[Uplink]| {
            uplinks.iter().find(|u| u.device.name == "up2").unwrap().device.gateway6
        };
        let (observed, uplinks, _) = reconciler.plan().await;
        assert!(gateway(&uplinks).is_some());
        let left = observed.next_expiry.expect("a time is told");
        assert!(left <= Duration::from_secs(1), "{left:?}");

        tokio::time::sleep(left).await;
        let start = Instant::now();
        while gateway(&reconciler.plan().await.1).is_some() {
            assert!(start.elapsed() < DEADLINE, "it has expired");
        }
        assert!(ip("-6 route show default dev up2").contains("expires"), "the kernel keeps it");
        assert_eq!(reconciler.plan().await.0.next_expiry, None, "nothing else expires");
        drop(peer);
    });
}

#[test]
fn the_monitor_hears_what_matters() {
    in_namespace(|| async {
        let peer = two_networks();
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        async fn quiet(monitor: &mut Monitor) -> bool {
            let wait = Duration::from_millis(200);
            tokio::time::timeout(wait, monitor.next()).await.is_err()
        }
        async fn next(monitor: &mut Monitor) -> prroute::netlink::Change {
            tokio::time::timeout(DEADLINE, monitor.next()).await.expect("a change").unwrap()
        }
        assert!(quiet(&mut monitor).await, "our own additions are no news");

        ip("route add 203.0.113.0/24 via 10.0.2.1 table 77");
        ip("route del 203.0.113.0/24 table 77");
        assert!(quiet(&mut monitor).await, "neither are routes that decide nothing");

        ip("addr add 10.0.2.11/24 dev up2");
        assert!(next(&mut monitor).await.addresses);
        ip("rule flush protocol 213");
        assert!(next(&mut monitor).await.rules, "somebody deleted our rules");
        reconciler.reconcile().await;
        ip("link set up1 mtu 1400");
        assert!(next(&mut monitor).await.links);
        ip("route change default via 10.0.2.9 dev up2 metric 2");
        assert!(next(&mut monitor).await.routes);
        drop(peer);
    });
}

#[test]
fn a_flood_of_notifications_ends_in_an_overrun_and_not_in_memory() {
    in_namespace(|| async {
        let peer = two_networks();
        let mut monitor = Monitor::open().unwrap();
        // Nobody reads meanwhile: the socket's queue fills.
        let batch: String = (0..20_000)
            .map(|n| {
                format!("route add 100.{}.{}.0/24 via 10.0.2.1 table 77\n", 64 + n / 256, n % 256)
            })
            .collect();
        ip_batch(&batch);
        let change = tokio::time::timeout(DEADLINE, monitor.next()).await.unwrap().unwrap();
        assert!(change.overrun);
        let observed = Kernel::connect().await.unwrap().observe().await.unwrap();
        assert!(observed.routes.len() < 100, "routes that decide nothing are not kept");
        assert!(observed.routes.iter().any(|r| r.table == 77), "but their table is known");
        // What happens next is heard of, although nobody has read what the queue was full of.
        ip("addr add 10.0.2.11/24 dev up2");
        let heard = async { while !monitor.next().await.unwrap().addresses {} };
        tokio::time::timeout(DEADLINE, heard).await.expect("an address that came after it");
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
