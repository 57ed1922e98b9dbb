//! The guest between two providers, and whether it answers.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::wait;

use crate::service::JOB;

/// The port of the echo servers, on all addresses of the guest.
pub(crate) const PORT: u16 = 7007;

/// Two uplinks, each with a default route in main, and no shared address.
pub(crate) const TWO_UPLINKS: Topology =
    Topology { uplinks: 2, shared: false, rp_filter: 2, ..Topology::DEFAULT };

/// Echo servers on all addresses of the guest, once the kernel has looked for duplicates.
pub(crate) fn serve(lab: &Lab) -> Result<Echo> {
    wait::until("no address is tentative", JOB, || {
        let tentative = lab.host.ip("-6 address show scope global tentative")?;
        Ok(tentative.is_empty().then_some(()))
    })?;
    Echo::start(&lab.host, &lab.host_addresses(), PORT)
}

/// TCP, UDP and ping to these addresses over each uplink: which are not answered.
pub(crate) fn silent(lab: &Lab, targets: impl Fn(u8, Family) -> IpAddr) -> Result<Vec<String>> {
    silent_at(lab, PORT, targets)
}

/// Likewise, of echo servers on this port.
fn silent_at(lab: &Lab, port: u16, targets: impl Fn(u8, Family) -> IpAddr) -> Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for n in 1..=lab.topology.uplinks {
        unanswered.extend(silent_over(lab, n, port, &targets)?);
    }
    Ok(unanswered)
}

/// Likewise, over this uplink.
fn silent_over(
    lab: &Lab,
    n: u8,
    port: u16,
    targets: impl Fn(u8, Family) -> IpAddr,
) -> Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for family in Family::BOTH {
        let (source, target) = (addressing::client(n, family), targets(n, family));
        let silent = echo::silent(&lab.client, source, target, port)?.into_iter();
        let named = silent.map(|what| format!("{what} to {target}, port {port}, uplink {n}"));
        unanswered.extend(named);
    }
    Ok(unanswered)
}

/// Every question to the own addresses of every uplink is answered.
pub(crate) fn expect_answers(lab: &Lab) -> Result<()> {
    let silent = silent(lab, addressing::host)?;
    ensure!(silent.is_empty(), "not answered: {silent:?}");
    Ok(())
}

/// What is not answered of the questions to the own addresses of every uplink, on these ports.
pub(crate) fn silent_ports(lab: &Lab, ports: &[u16]) -> Result<Vec<String>> {
    let mut silent = Vec::new();
    for &port in ports {
        silent.extend(silent_at(lab, port, addressing::host)?);
    }
    Ok(silent)
}

/// Before prroute is started: these ports answer over the uplink that main prefers, once their servers run, and nothing
/// answers over another.
pub(crate) fn expect_routing_alone(lab: &Lab, ports: &[u16]) -> Result<()> {
    let preferred = 1;
    let mut silent = Vec::new();
    wait::until("the preferred uplink answers", JOB, || {
        silent.clear();
        for &port in ports {
            silent.extend(silent_over(lab, preferred, port, addressing::host)?);
        }
        Ok(silent.is_empty().then_some(()))
    })
    .with_context(|| format!("not answered: {silent:#?}"))?;
    for n in (1..=lab.topology.uplinks).filter(|&n| n != preferred) {
        for &port in ports {
            let silent = silent_over(lab, n, port, addressing::host)?;
            let all = Family::BOTH.len() * echo::QUESTIONS.len();
            ensure!(silent.len() == all, "of uplink {n} only these are not answered: {silent:#?}");
        }
    }
    Ok(())
}

/// Waits until every question to the own addresses of every uplink is answered, on these ports.
pub(crate) fn wait_for_answers(lab: &Lab, ports: &[u16]) -> Result<()> {
    let mut silent = Vec::new();
    wait::until("every question is answered", JOB, || {
        silent = silent_ports(lab, ports)?;
        Ok(silent.is_empty().then_some(()))
    })
    .with_context(|| format!("not answered: {silent:#?}"))
}

/// Echo servers on addresses that came later.
pub(crate) fn serve_also(lab: &Lab, addresses: &[IpAddr]) -> Result<Echo> {
    Echo::start(&lab.host, addresses, PORT)
}

/// Rules and routes of prroute, in the order of their text.
pub(crate) fn of_prroute(lab: &Lab) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for family in Family::BOTH {
        let option = family.option();
        // By number: the package gives it a name.
        let rules = lab.host.ip(&format!("-N {option} rule show"))?;
        all.extend(rules.lines().filter(|rule| rule.contains("proto 213")).map(str::to_owned));
        let routes = lab.host.ip(&format!("-N {option} route show table all proto 213"))?;
        all.extend(routes.lines().map(|route| format!("{family} route {}", route.trim_end())));
    }
    all.sort();
    Ok(all)
}

/// Waits until rules and routes of prroute are these, and every question is answered.
pub(crate) fn settles(lab: &Lab, rules_and_routes: &[String]) -> Result<()> {
    let mut now = Vec::new();
    wait::until("rules and routes are there", JOB, || {
        now = of_prroute(lab)?;
        Ok((now == rules_and_routes).then_some(()))
    })
    .with_context(|| format!("there are {now:#?}, before were {rules_and_routes:#?}"))?;
    answered(lab)
}

/// Waits until every question is answered.
pub(crate) fn answered(lab: &Lab) -> Result<()> {
    wait_for_answers(lab, &[PORT])
}
