//! What main routes over uplinks is a fact of the programs.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use prroute_common::uplink::flag;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Instance, OwnSource};
use prroute_tests::wait;

use super::SOON;
use super::facts::{flags, main_routes};

/// The tables and the flags of uplinks 1 to 3 say this.
fn await_main_routes(prroute: &Instance<'_>, expected: &[(u32, &str)]) -> Result<()> {
    let has =
        |id: u32, v6: bool| expected.iter().any(|(of, net)| *of == id && net.contains(':') == v6);
    let flagged = [(flag::MAIN_ROUTES4, false), (flag::MAIN_ROUTES6, true)];
    let wanted: Vec<u32> = (1..=3)
        .map(|id| {
            flagged.iter().filter(|(_, v6)| has(id, *v6)).fold(0, |all, (flag, _)| all | flag)
        })
        .collect();
    let expected: BTreeSet<_> = expected.iter().map(|(id, net)| (*id, (*net).to_owned())).collect();
    let mask = flag::MAIN_ROUTES4 | flag::MAIN_ROUTES6;
    let mut last = (BTreeSet::new(), Vec::new());
    wait::until("main's routes are facts", SOON, || {
        let flags = flags(prroute)?.iter().map(|flags| flags & mask).collect();
        last = (main_routes(prroute)?, flags);
        Ok((last.0 == expected && last.1 == wanted).then_some(()))
    })
    .with_context(|| format!("there are {last:?}, not {expected:?} and {wanted:?}"))
}

#[test]
fn what_main_routes_over_uplinks_is_a_fact_within_a_second() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let gateway = |number| addressing::gateway(number, Family::V4);
    let gateway6 = |number| addressing::gateway(number, Family::V6);
    // There before the start.
    lab.host.ip(&format!("route add 192.0.2.0/24 via {} dev up2", gateway(2)))?;
    lab.with_own_source(OwnSource::Datapath, |prroute| {
        await_main_routes(prroute, &[(2, "192.0.2.0/24")])?;

        lab.host.ip(&format!("route add 2001:db8:77::/48 via {} dev up3", gateway6(3)))?;
        lab.host.ip("route add 192.0.3.1/32 dev up1")?;
        let hops = [1, 3].map(|n| format!("nexthop via {} dev up{n}", gateway(n))).join(" ");
        lab.host.ip(&format!("route add 192.0.4.0/22 {hops}"))?;
        let multipath = [(1, "192.0.4.0/22"), (3, "192.0.4.0/22")];
        // What is on the link is a fact in line, as there are few such prefixes.
        let rest = [(2, "192.0.2.0/24"), (3, "2001:db8:77::/48")];
        await_main_routes(prroute, &[multipath, rest].concat())?;

        // To another uplink, to what is no uplink, and from there to nowhere.
        lab.host.ip("route del 192.0.3.1/32 dev up1")?;
        lab.host.ip("route del 192.0.4.0/22")?;
        lab.host.ip("route del 2001:db8:77::/48")?;
        lab.host.ip(&format!("route replace 192.0.2.0/24 via {} dev up3", gateway(3)))?;
        await_main_routes(prroute, &[(3, "192.0.2.0/24")])?;
        lab.host.ip("link add vpn0 type bridge")?;
        lab.host.ip("link set vpn0 up")?;
        lab.host.ip("route add 10.200.0.1/32 dev vpn0")?;
        lab.host.ip("route replace 192.0.2.0/24 via 10.200.0.1 dev vpn0")?;
        await_main_routes(prroute, &[])?;
        // Routes of other tables, default routes, and what refuses are none.
        lab.host.ip(&format!("route add 192.0.5.0/24 via {} dev up2 table 77", gateway(2)))?;
        lab.host.ip(&format!("route add 0.0.0.0/1 via {} dev up2", gateway(2)))?;
        lab.host.ip("route add blackhole 192.0.7.0/24")?;
        lab.host.ip(&format!("route add 192.0.6.0/24 via {} dev up2", gateway(2)))?;
        await_main_routes(prroute, &[(2, "192.0.6.0/24")])?;
        // The kernel does not announce what goes with a link.
        lab.host.ip("link set up2 down")?;
        await_main_routes(prroute, &[])
    })
}

/// A million routes cannot be facts; another uplink's few are, and it is said.
#[test]
fn one_uplinks_thousands_of_routes_leave_anothers_in() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, shared: false, ..Topology::DEFAULT })?;
    let net = |n: u32| format!("{}/32", Ipv4Addr::from(0x0b00_0000 + n));
    let lines: String = (0..20_000).map(|n| format!("route add {} dev up2\n", net(n))).collect();
    lab.host.ip_batch(&lines)?;
    lab.host.ip("route add 192.0.2.0/24 dev up1")?;
    lab.with_own_source(OwnSource::Datapath, |prroute| {
        let there = main_routes(prroute)?;
        ensure!(there.len() == prroute_common::uplink::MAX_MAIN_ROUTES as usize, "{}", there.len());
        let left_out = prroute.status()?["left_out"].clone();
        ensure!(left_out[0]["main_routes"].as_u64() > Some(3_000), "{left_out:#}");
        lab.host.ip(&format!(
            "route add 192.0.9.0/24 via {} dev up1",
            addressing::gateway(1, Family::V4)
        ))?;
        wait::until("another uplink's route is a fact", SOON, || {
            Ok(main_routes(prroute)?.contains(&(1, "192.0.9.0/24".to_owned())).then_some(()))
        })
    })
}
