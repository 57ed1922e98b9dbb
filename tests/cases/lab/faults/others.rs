//! What others do to packets, and where services listen: `doctor` tells it.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::Lab;
use prroute_tests::prroute::Instance;
use prroute_tests::socket;

use super::{DOCTOR, Said, TWO, expect_clean, expect_named, run_fix};

const PORT: u16 = 7011;

fn with_prroute(case: impl FnOnce(&Lab, &Instance<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    case(&lab, &prroute)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

fn is_named_with_its_rule(rule: &str, hook: &str) -> Result<()> {
    with_prroute(|lab, prroute| {
        lab.host.nft(&format!(
            "table inet filter {{
                chain {hook} {{ type filter hook {hook} priority filter; {rule}; }}
            }}"
        ))?;
        let finding = expect_named(prroute, DOCTOR, "nft-drop:up2", 5)?;
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        let delete = remedy.strip_prefix("if that is not meant: ").unwrap_or_default();
        lab.host.run(&["sh", "-c", delete])?;
        expect_clean(prroute, DOCTOR)
    })
}

#[test]
fn a_rule_that_drops_what_leaves_by_an_uplink_is_named() -> Result<()> {
    is_named_with_its_rule("oifname up2 drop", "output")
}

#[test]
fn a_rule_that_drops_what_comes_in_by_an_uplink_is_named() -> Result<()> {
    is_named_with_its_rule("iifname up2 drop", "input")
}

#[test]
fn a_rule_that_decides_by_an_uplink_is_told_of() -> Result<()> {
    with_prroute(|lab, prroute| {
        lab.host.nft(
            "table inet filter {
                chain out { type filter hook output priority filter; oifname up2 ct state new accept; }
            }",
        )?;
        expect_named(prroute, DOCTOR, "nft-oif:up2", 0).map(drop)
    })
}

#[test]
fn a_service_at_the_address_of_one_uplink_is_told_of() -> Result<()> {
    with_prroute(|lab, prroute| {
        let address = addressing::host(2, Family::V4);
        let service = socket::listen(&lab.host, address, PORT)?;
        let id = format!("listens-on-one-address:{address}");
        let finding = expect_named(prroute, DOCTOR, &id, 0)?;
        ensure!(finding["what"].to_string().contains(&PORT.to_string()), "{finding:#}");
        run_fix(&lab.host, prroute, &finding)?;
        drop(service);
        let said = Said::by(prroute, DOCTOR)?;
        ensure!(said.finding(&id).is_none(), "{said:#?}");
        Ok(())
    })
}

#[test]
fn replies_that_are_lost_beyond_an_uplink_are_named() -> Result<()> {
    with_prroute(|lab, prroute| {
        lab.steer(2, Family::V4)?;
        let shared = addressing::shared(Family::V4);
        let _echo = Echo::start(&lab.host, &[shared], PORT)?;
        lab.router(2).namespace.nft(&format!(
            "table ip lossy {{
                chain forward {{ type filter hook forward priority -10; ip saddr {shared} drop; }}
            }}"
        ))?;
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let source = (addressing::stateless_client(Family::V4), 0).into();
                    let target = (shared, PORT).into();
                    // No answer arrives.
                    socket::tcp_from(&lab.client, source, target, Duration::from_secs(1)).is_err()
                });
            }
        });
        expect_named(prroute, DOCTOR, "unconfirmed:up2", 5)?;
        lab.router(2).namespace.nft("delete table ip lossy")?;
        let source = addressing::stateless_client(Family::V4);
        let connection = socket::tcp(&lab.client, source, shared, PORT)?;
        expect_clean(prroute, DOCTOR)?;
        drop(connection);
        Ok(())
    })
}
