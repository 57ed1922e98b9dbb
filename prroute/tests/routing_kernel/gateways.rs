//! Gateways: which the kernel takes, and how their failures are noticed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use prroute::netlink::Monitor;
use prroute::state::observed::NeighbourState;
use prroute::state::uplink::Uplink;

use super::harness::*;

/// How often the kernel asks, once a second, before it calls an entry failed.
const PROBES_OF_A_MINUTE: &str = "60";

fn neighbour_sysctl(device: &str, name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv4/neigh/{device}/{name}"), value).unwrap();
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
        let up2 = observed.links.iter().find(|link| link.name == "up2").unwrap().ifindex;
        let state = reconciler.gateways.health().state(&observed, (up2, gateway));
        assert_eq!(state, Some(NeighbourState::Failed));

        peer.ip("addr add 10.0.2.1/24 dev up2p");
        reconciler.until_usable(&mut monitor, "up2", true).await;
        reconciler.undo().await;
        assert!(!ip("neigh show").contains("managed"));
    });
}

/// The kernel says so after three seconds only; here after a minute.
#[test]
fn a_gateway_that_never_resolves_is_unusable_before_the_kernel_gives_up() {
    in_namespace(|| async {
        let peer = two_networks();
        peer.link("up3", &[]);
        ip("addr add 10.0.3.10/24 dev up3");
        ip("route add default via 10.0.3.1 dev up3 metric 3");
        neighbour_sysctl("up3", "mcast_solicit", PROBES_OF_A_MINUTE);
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        let (_, uplinks) = reconciler.look(&mut monitor).await;
        assert!(uplinks.iter().all(|u| u.device.way_out.v4.usable), "nobody was asked yet");
        reconciler.reconcile().await;
        let start = Instant::now();
        reconciler.until_usable(&mut monitor, "up3", false).await;
        eprintln!("unusable after {:?}", start.elapsed());
        assert!(!ip("neigh show 10.0.3.1 dev up3").contains("FAILED"), "before the kernel says so");
        let (_, uplinks) = reconciler.look(&mut monitor).await;
        let usable = uplinks.iter().filter(|u| u.device.way_out.v4.usable).count();
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
            neighbour_sysctl("up2", sysctl, value);
        }
        // It gives up after three seconds of asking; here after a minute.
        neighbour_sysctl("up2", "ucast_solicit", PROBES_OF_A_MINUTE);
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
        ip("-6 route add default via 2001:db8:2::1 dev up2 metric 2 expires 5");
        let reconciler = Loop::new().await;
        let gateway = |uplinks: &[Uplink]| {
            uplinks.iter().find(|u| u.device.name == "up2").unwrap().device.way_out.v6.gateway
        };
        let (observed, uplinks, _) = reconciler.plan().await;
        assert!(gateway(&uplinks).is_some());
        let left = observed.next_expiry.expect("a time is told");
        assert!(left <= Duration::from_secs(5), "{left:?}");

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

/// A size that the administrator has given the way to the Internet, because what is behind it carries no more.
#[test]
fn what_a_default_route_says_of_connections_is_said_of_own_sources_too() {
    in_namespace(|| async {
        let peer = two_networks();
        let said = |four: &str, six: &str| {
            ip(&format!("route replace default via 10.0.2.1 dev up2 metric 2 {four}"));
            ip(&format!("-6 route replace default via 2001:db8:2::1 dev up2 metric 2 {six}"));
        };
        let tables = || ip("route show table 21002") + &ip("-6 route show table 21002");
        said("mtu lock 1400 advmss 1300 initcwnd 20 rto_min 300ms", "mtu 1380 hoplimit 32");
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        let shown = tables();
        assert!(shown.contains("mtu lock 1400 advmss 1300 initcwnd 20"), "{shown}");
        assert!(shown.contains("300ms") && shown.contains("mtu 1380 hoplimit 32"), "{shown}");
        let route = ip("route get 192.0.2.1 from 10.0.2.10");
        assert!(route.contains("mtu lock 1400"), "{route}");
        said("mtu 1450", "");
        reconciler.reconcile().await;
        let shown = tables();
        assert!(shown.contains("mtu 1450") && !shown.contains("advmss"), "{shown}");
        assert!(!shown.contains("1380"), "{shown}");
        reconciler.undo().await;
        drop(peer);
    });
}
