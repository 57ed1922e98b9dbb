//! Uplinks that are down, and gateways that fall silent.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::probe::Question;
use prroute_tests::wait;

use super::{Explained, TWO, expect_all, to_own, to_shared};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn nothing_comes_in_by_an_uplink_that_is_down() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.ip("link set up2 down")?;
        let asked =
            [to_own(2, Question::Ping, Family::V4), to_shared(2, Question::Tcp(80), Family::V4)];
        expect_all(&lab, prroute, &asked, ("dropped", Some("uplink")))?;
        let explained = Explained::of(prroute, &asked[0])?;
        ensure!(explained.way["remedy"] == "ip link set up2 up", "{explained:#?}");
        Ok(())
    })
}

#[test]
fn a_cable_that_is_pulled_stops_what_comes_in() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.router(2).namespace.ip("link set host down")?;
        let asked = [to_own(2, Question::Ping, Family::V4)];
        expect_all(&lab, prroute, &asked, ("dropped", Some("uplink")))?;
        lab.router(2).namespace.ip("link set host up")?;
        let mut last = None;
        wait::until("it is answered again", SOON, || {
            let explained = last.insert(Explained::of(prroute, &asked[0])?);
            Ok((explained.verdict() == "answered").then_some(()))
        })
        .with_context(|| format!("{last:#?}"))?;
        expect_all(&lab, prroute, &asked, ("answered", None))
    })
}

/// What comes in is not answered while the reply has no way to its gateway.
#[test]
fn a_silent_gateway_is_where_a_reply_ends() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_configuration("gateway-probe = 1\n", |prroute| {
        let asked =
            [to_shared(2, Question::Ping, Family::V4), to_own(2, Question::Tcp(80), Family::V4)];
        expect_all(&lab, prroute, &asked, ("answered", None))?;
        lab.router(2).fall_silent()?;
        for probe in asked {
            let mut last = None;
            wait::until("it is explained as not answered", SOON, || {
                let explained = last.insert(Explained::of(prroute, &probe)?);
                let is_told = matches!(explained.verdict(), "dropped" | "wrong-uplink");
                Ok(is_told.then_some(()))
            })
            .with_context(|| format!("{last:#?}"))?;
        }
        for outcome in lab.ask(&asked)? {
            ensure!(!outcome.answered(), "{outcome}");
        }
        Ok(())
    })
}
