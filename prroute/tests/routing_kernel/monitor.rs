//! What is heard of changes.

use std::time::Duration;

use prroute::netlink::{Kernel, Monitor};

use super::harness::*;

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
            tokio::time::timeout(DEADLINE, monitor.next()).await.expect("a change").unwrap().change
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
