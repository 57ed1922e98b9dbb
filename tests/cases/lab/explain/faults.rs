//! The faults that `status` and `doctor` name, as a flow meets them: `explain` stops at the step that has the
//! fault, and what it foretells is what a probe meets. (Links, gateways, filters, netfilter, forwarding and
//! services that listen at one address have cases of their own beside this.)

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_common::names;
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe::{Outcome, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::wait;

use super::{Explained, TWO, expect_agreement, expect_all, to_own, to_shared};
use crate::removed::removal;

const SOON: Duration = Duration::from_secs(30);
const TCP: Question = Question::Tcp(80);
const ANSWERED: (&str, Option<&str>) = ("answered", None);
const NOT_MOVED: (&str, Option<&str>) = ("wrong-uplink", Some("program out"));

/// While no daemon runs that would put it back: before the fault the request is answered, behind it not.
fn without_a_daemon(
    hook: &str,
    fault: impl FnOnce(&Lab, &Instance<'_>) -> Result<()>,
    expected: (&str, Option<&str>),
) -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    let configuration = format!("attach = \"{hook}\"\n");
    let prroute = lab.prroute()?.own_source(OwnSource::Rules)?.configured(&configuration)?;
    prroute.run(&[])?.kill()?;
    let asked = [to_shared(2, TCP, Family::V4)];
    expect_all(&lab, &prroute, &asked, ANSWERED)?;
    fault(&lab, &prroute)?;
    expect_all(&lab, &prroute, &asked, expected)?;
    prroute.down().map(drop)
}

#[test]
fn a_qdisc_that_was_deleted_where_the_reply_leaves() -> Result<()> {
    let delete = |lab: &Lab, _: &Instance<'_>| {
        lab.host.run(&["tc", "qdisc", "del", "dev", "up1", "clsact"]).map(drop)
    };
    without_a_daemon("clsact", delete, NOT_MOVED)
}

#[test]
fn a_qdisc_that_was_deleted_where_the_request_comes_in() -> Result<()> {
    let delete = |lab: &Lab, _: &Instance<'_>| {
        lab.host.run(&["tc", "qdisc", "del", "dev", "up2", "clsact"]).map(drop)
    };
    without_a_daemon("clsact", delete, NOT_MOVED)
}

#[test]
fn another_program_behind_our_link() -> Result<()> {
    let replace = |_: &Lab, prroute: &Instance<'_>| {
        bpf::replace_pinned(&removal::pin(prroute, "link-1-egress"))
    };
    without_a_daemon("tcx", replace, NOT_MOVED)
}

/// Programs that are attached go on without the pins of their maps, and nobody can ask them.
#[test]
fn pins_that_were_removed_leave_programs_that_cannot_be_asked() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let prroute = lab.prroute()?.configured("attach = \"tcx\"\n")?;
    prroute.run(&[])?.kill()?;
    removal::unpin(&prroute, names::FLOWS4)?;
    let asked = to_shared(2, TCP, Family::V4);
    let explained = Explained::of(&prroute, &asked)?;
    ensure!(explained.verdict() == "unknown", "{}", explained.text);
    ensure!(explained.text.contains("its maps are not pinned any more"), "{}", explained.text);
    ensure!(lab.ask(&[asked])?.iter().all(Outcome::answered), "they go on");
    prroute.down().map(drop)
}

#[test]
fn rules_that_were_flushed() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    let prroute = lab.prroute()?.own_source(OwnSource::Rules)?;
    prroute.run(&[])?.kill()?;
    let asked = [to_own(2, TCP, Family::V4)];
    expect_all(&lab, &prroute, &asked, ANSWERED)?;
    lab.host.ip("-4 rule flush protocol 213")?;
    expect_moved(&expect_agreement(&lab, &prroute, &asked)?, "lookup main")?;
    prroute.down().map(drop)
}

/// Routing has them leave by the wrong uplink, and the program moves what it knows.
fn expect_moved(explained: &[Explained], rule: &str) -> Result<()> {
    for explained in explained {
        explained.expect("answered", None)?;
        ensure!(explained.way["leaves"]["moved"] == true, "{}", explained.text);
        ensure!(explained.text.contains(rule), "{}", explained.text);
    }
    Ok(())
}

#[test]
fn a_rule_of_others_that_catches_everything() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    let prroute = lab.prroute()?.own_source(OwnSource::Rules)?;
    prroute.run(&[])?.kill()?;
    lab.host.ip("route add default via 10.0.1.1 dev up1 table 77")?;
    lab.host.ip("rule add priority 1 lookup 77")?;
    let asked = [to_own(2, TCP, Family::V4)];
    expect_moved(&expect_agreement(&lab, &prroute, &asked)?, "1 from all lookup 77")?;
    prroute.down().map(drop)
}

#[test]
fn a_shared_address_that_is_gone() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let asked = [to_shared(2, TCP, Family::V4)];
        expect_all(&lab, prroute, &asked, ANSWERED)?;
        lab.host.ip("address del 203.0.113.1/32 dev lo")?;
        for explained in expect_agreement(&lab, prroute, &asked)? {
            ensure!(explained.verdict() == "dropped", "{}", explained.text);
            let stage = explained.stops_at();
            ensure!(matches!(stage, Some("address" | "forwarding")), "{}", explained.text);
        }
        Ok(())
    })
}

#[test]
fn an_uplink_that_lost_its_addresses() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.ip("address flush dev up2 scope global")?;
        for explained in expect_agreement(&lab, prroute, &[to_own(2, TCP, Family::V4)])? {
            ensure!(explained.verdict() == "dropped", "{}", explained.text);
            let stage = explained.stops_at();
            ensure!(matches!(stage, Some("address" | "forwarding")), "{}", explained.text);
        }
        Ok(())
    })
}

#[test]
fn an_uplink_that_is_excluded_by_mistake() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 3, ..TWO })?;
    lab.meet_default_gateway()?;
    lab.with_configuration("exclude = [\"up3\"]\n", |prroute| {
        let explained = expect_agreement(&lab, prroute, &[to_shared(3, TCP, Family::V4)])?;
        ensure!(explained[0].verdict() == "wrong-uplink", "{}", explained[0].text);
        ensure!(explained[0].text.contains("up3 is no uplink"), "{}", explained[0].text);
        Ok(())
    })
}

/// Without a gateway a reply goes to the router that its request comes from.
#[test]
fn a_default_route_that_was_deleted() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    lab.with_prroute(|prroute| {
        lab.host.ip("route del default via 10.0.2.1 dev up2")?;
        let asked = [to_shared(2, TCP, Family::V4)];
        let mut last = None;
        wait::until("the daemon has seen it", SOON, || {
            let explained = last.insert(Explained::of(prroute, &asked[0])?);
            let to_router = "up2 to the router that the request comes from";
            Ok(explained.text.contains(to_router).then_some(()))
        })
        .with_context(|| last.map_or_else(String::new, |explained| explained.text))?;
        expect_all(&lab, prroute, &asked, ANSWERED)
    })
}

/// The request is answered all the same; what is lost behind it no host can see.
#[test]
fn replies_that_are_lost_beyond_an_uplink_are_answered_here() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let shared = addressing::shared(Family::V4);
        lab.router(2).namespace.nft(&format!(
            "table ip lossy {{
                chain forward {{ type filter hook forward priority -10; ip saddr {shared} drop; }}
            }}"
        ))?;
        let asked = to_shared(2, TCP, Family::V4);
        Explained::of(prroute, &asked)?.expect("answered", None)?;
        ensure!(lab.ask(&[asked])?.iter().all(|outcome| !outcome.answered()));
        Ok(())
    })
}
