//! 64 uplinks and 1,000 addresses: whoever is not from them passes a handful of rules, and every
//! address leaves by its own uplink.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::large::{LargeHost, Shape, cpu_time};

/// The kernel's own rules (local, main, default) are three of them.
const PASSED: usize = 3 + 3;

fn expect_way(large: &LargeHost, source: &str, device: &str) -> Result<()> {
    let way = large.host.ip(&format!("route get 192.0.2.1 from {source}"))?;
    ensure!(way.contains(&format!(" dev {device} ")), "{source} leaves by {way}");
    Ok(())
}

#[test]
fn uplinks_with_a_subnet_each_take_two_rules_each() -> Result<()> {
    let _turn = crate::turn();
    let large = LargeHost::build(Shape { uplinks: 64, addresses: 1_000, one_subnet: false })?;
    let before = large.host.ip("rule show")?;
    large.prroute()?.while_running(|prroute| {
        println!("start: {:.0?} of CPU", cpu_time(&prroute.daemon.process)?);
        let rules = large.host.ip("rule show")?;
        assert_eq!(
            rules.lines().filter(|rule| rule.contains("\tfrom 10.")).count(),
            128,
            "{rules}"
        );
        assert_eq!(large.rules_passed_by_strangers()?, PASSED, "{rules}");
        for (source, device) in [("10.0.0.1", "up0"), ("10.63.0.15", "up63"), ("10.7.0.3", "up7")] {
            expect_way(&large, source, device)?;
        }
        large.add_address(prroute, 0).with_context(|| prroute.log())?;
        assert_eq!(large.host.ip("rule show")?, rules, "it is in a prefix that has its rules");
        Ok(())
    })?;
    assert_eq!(large.host.ip("rule show")?, before);
    Ok(())
}

#[test]
fn uplinks_on_one_subnet_take_rules_for_each_address_that_others_do_not_pass() -> Result<()> {
    let _turn = crate::turn();
    let large = LargeHost::build(Shape { uplinks: 64, addresses: 1_000, one_subnet: true })?;
    let before = large.host.ip("rule show")?;
    large.prroute()?.while_running(|prroute| {
        println!("start: {:.0?} of CPU", cpu_time(&prroute.daemon.process)?);
        ensure!(large.host.ip("rule show")?.lines().count() > 3_000);
        assert_eq!(large.rules_passed_by_strangers()?, PASSED);
        for n in 0..3 {
            large.add_address(prroute, n).with_context(|| prroute.log())?;
        }
        assert_eq!(large.rules_passed_by_strangers()?, PASSED);
        // Address number n is 10.200.0.0 + n + 1, and on uplink n modulo 64; three came later.
        for n in [0, 1, 63, 64, 500, 999, 1_024, 1_088, 1_152_u16] {
            let [high, low] = (n + 1).to_be_bytes();
            let device = if n < 1_000 { n % 64 } else { 0 };
            expect_way(&large, &format!("10.200.{high}.{low}"), &format!("up{device}"))?;
        }
        Ok(())
    })?;
    assert_eq!(large.host.ip("rule show")?, before);
    Ok(())
}
