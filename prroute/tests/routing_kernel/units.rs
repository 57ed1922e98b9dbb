//! One uplink's trouble is not the others'.

use prroute::netlink::Applied;
use prroute::state::plan::{Op, Plan};
use prroute::state::units::Units;

use super::harness::*;

/// Looks, lets something happen, and then carries out what was planned before.
async fn apply_after(happens: impl FnOnce(), refusable: bool, more: Option<Op>) -> (Plan, Applied) {
    let reconciler = Loop::new().await;
    let (_, uplinks, mut plan) = reconciler.plan().await;
    plan.ops.extend(more);
    let units = Units::of(reconciler.config.ranges, &uplinks);
    happens();
    let applied = reconciler.kernel.apply_by_unit(&plan, &units, refusable, usize::MAX).await;
    (plan, applied)
}

fn about(device: &str) -> String {
    let all = dumps();
    let lines = all.lines().filter(|line| line.contains("proto 213") && line.contains(device));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The kernel refuses its routes with ENETDOWN.
#[test]
fn an_uplink_that_goes_down_meanwhile_keeps_nothing_from_the_others() {
    for refusable in [false, true] {
        in_namespace(move || async move {
            let peer = two_networks();
            std::fs::write("/proc/sys/net/ipv4/conf/up2/rp_filter", "1").unwrap();
            let down = || drop(ip("link set up2 down"));
            let (plan, applied) = apply_after(down, refusable, None).await;
            let error = applied.error.expect("the device is down");
            assert!(error.transient, "{error}");
            assert_eq!(error.uplink.as_deref(), Some("up2"));
            let text = error.to_string();
            assert!(text.starts_with("up2: ip route add 10.0.2.0/24"), "{text}");
            assert!(text.contains("Network is down (os error 100)"), "{text}");
            assert!(error.not_taken_back.is_empty(), "{text}");
            assert!(applied.rest.is_empty() && !applied.in_force.is_empty());
            assert_eq!(applied.in_force.ops.len() + applied.left.ops.len(), plan.ops.len());
            assert_eq!(way("192.0.2.1", "10.0.1.10"), "10.0.1.1 up1");
            assert!(ip("-6 rule show").contains("from 2001:db8:1::/64"));
            // Nothing of the other one is half there.
            assert_eq!(about("up2"), "");
            let rules = ip("-4 rule show") + &ip("-6 rule show");
            assert!(!rules.contains("10.0.2.") && !rules.contains("2001:db8:2:"), "{rules}");
            let filter = std::fs::read_to_string("/proc/sys/net/ipv4/conf/up2/rp_filter").unwrap();
            assert_eq!(filter.trim(), "1");
            drop(peer);
        });
    }
}

/// A configuration that is tried leaves nothing behind when the kernel refuses it; one in force goes
/// on without what is refused.
#[test]
fn what_is_refused_for_good_takes_everything_back_only_where_it_is_tried() {
    for refusable in [false, true] {
        in_namespace(move || async move {
            let peer = two_networks();
            let before = dumps();
            let taken = "route add default dev up1 table 21001 proto static";
            let (_, applied) = apply_after(|| drop(ip(taken)), refusable, None).await;
            let error = applied.error.expect("the place is taken");
            assert!(!error.transient, "{error}");
            assert!(error.to_string().contains("File exists (os error 17)"), "{error}");
            ip("route del default dev up1 table 21001");
            if refusable {
                assert!(applied.in_force.is_empty());
                assert_eq!(dumps(), before);
            } else {
                assert_eq!(
                    about("up1").lines().count(),
                    about("dev up1 onlink table 21000").lines().count()
                );
                assert_eq!(way("192.0.2.1", "10.0.2.10"), "10.0.2.1 up2");
            }
            drop(peer);
        });
    }
}

#[test]
fn a_limit_leaves_the_rest_and_no_failure() {
    in_namespace(|| async {
        let peer = two_networks();
        let reconciler = Loop::new().await;
        let (_, uplinks, plan) = reconciler.plan().await;
        let units = Units::of(reconciler.config.ranges, &uplinks);
        let applied = reconciler.kernel.apply_by_unit(&plan, &units, false, 3).await;
        assert!(applied.error.is_none());
        assert_eq!(applied.in_force.ops, plan.ops[..3]);
        assert_eq!(applied.rest.ops, plan.ops[3..]);
        drop(peer);
    });
}
