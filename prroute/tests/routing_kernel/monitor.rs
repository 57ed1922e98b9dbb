//! What is heard of changes.

use prroute::netlink::{Change, Kernel, Monitor};

use super::harness::*;

const NONE: Change = Change {
    links: false,
    addresses: false,
    routes: false,
    rules: false,
    neighbours: false,
    arrived: false,
    overrun: false,
};

#[test]
fn the_monitor_hears_what_matters() {
    in_namespace(|| async {
        let peer = two_networks();
        let mut monitor = Monitor::open().unwrap();
        let mut reconciler = Loop::new().await;
        reconciler.reconcile().await;
        // All that has happened before it, too.
        async fn next(monitor: &mut Monitor) -> Change {
            tokio::time::timeout(DEADLINE, monitor.next()).await.expect("a change").unwrap().change
        }
        const OF_A_LINK: Change = Change { links: true, ..NONE };
        ip("link set up1 mtu 1450");
        assert_eq!(next(&mut monitor).await, OF_A_LINK, "our own additions are no news");

        ip("route add 203.0.113.0/24 via 10.0.2.1 table 77");
        ip("route del 203.0.113.0/24 table 77");
        ip("link set up1 mtu 1440");
        assert_eq!(next(&mut monitor).await, OF_A_LINK, "neither are routes that decide nothing");

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
        let change = tokio::time::timeout(DEADLINE, monitor.next()).await.unwrap().unwrap().change;
        assert!(change.overrun);
        let observed = Kernel::connect().await.unwrap().observe().await.unwrap();
        assert!(observed.routes.len() < 100, "routes that decide nothing are not kept");
        assert!(observed.routes.iter().any(|r| r.table == 77), "but their table is known");
        // What happens next is heard of, although nobody has read what the queue was full of.
        ip("addr add 10.0.2.11/24 dev up2");
        let heard = async { while !monitor.next().await.unwrap().change.addresses {} };
        tokio::time::timeout(DEADLINE, heard).await.expect("an address that came after it");
        drop(peer);
    });
}
