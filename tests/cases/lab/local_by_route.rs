//! Addresses that are local by a route (AnyIP): a prefix in the local table, of which no interface
//! has an address. They are shared: asked over an uplink, they answer over it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, socket, wait};

const UPLINKS: u8 = Topology::DEFAULT.uplinks;

/// Servers that are bound to the addresses, and ones that are bound to none.
const BOUND: u16 = 7007;
const WILDCARD: u16 = 7008;

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(15);

/// Addresses inside the prefix, at its beginning and at its end.
fn targets(family: Family) -> [IpAddr; 2] {
    match family {
        Family::V4 => [[192, 0, 2, 1], [192, 0, 2, 254]].map(IpAddr::from),
        Family::V6 => [1, 0xffff].map(|last| [0x2001, 0xdb8, 0x77, 0, 0, 0, 0, last].into()),
    }
}

/// Routers that route the prefixes to the host, and servers there; the prefixes are not local yet.
fn build() -> Result<(Lab, Echo, Echo)> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.host.sysctl(&["net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"])?;
    for router in &lab.routers {
        for family in Family::BOTH {
            let (prefix, via) =
                (addressing::guests(family), addressing::host(router.number, family));
            router.namespace.ip(&format!("route add {prefix} via {via}"))?;
        }
    }
    let bound = Echo::start(&lab.host, &Family::BOTH.map(targets).concat(), BOUND)?;
    let unspecified: [IpAddr; 2] = ["0.0.0.0".parse()?, "::".parse()?];
    // One at a time: a socket of IPv6 takes IPv4's port too.
    lab.host.sysctl(&["net.ipv6.bindv6only=1"])?;
    let wildcard = Echo::start(&lab.host, &unspecified, WILDCARD)?;
    Ok((lab, bound, wildcard))
}

fn change(lab: &Lab, verb: &str) -> Result<()> {
    Family::BOTH.into_iter().try_for_each(|family| {
        let (option, prefix) = (family.option(), addressing::guests(family));
        lab.host.ip(&format!("{option} route {verb} local {prefix} dev lo")).map(drop)
    })
}

/// What is not answered over an uplink; all addresses are asked at the same time.
fn silent(lab: &Lab, number: u8) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let mut asked = Vec::new();
        for family in Family::BOTH {
            let source = addressing::client(number, family);
            for target in targets(family) {
                asked.push(scope.spawn(move || silent_at(lab, source, target)));
            }
        }
        let mut silent = Vec::new();
        for asked in asked {
            silent.extend(asked.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(silent)
    })
}

fn silent_at(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Vec<String>> {
    let mut silent = echo::silent(&lab.client, source, target, BOUND)?;
    // Its datagrams name no source: the kernel would take the default route's.
    let udp = socket::udp(&lab.client, source, 0)?;
    udp.set_read_timeout(Some(wait::patience(Duration::from_secs(1))))?;
    let there = SocketAddr::new(target, WILDCARD);
    for _ in 0..3 {
        if !echo::udp_round(&udp, there, 100)? {
            silent.push("wildcard UDP");
            break;
        }
    }
    Ok(silent.iter().map(|what| format!("{what} of {target}")).collect())
}

fn all_answered(lab: &Lab) -> Result<()> {
    for number in 1..=UPLINKS {
        let silent = silent(lab, number)?;
        ensure!(silent.is_empty(), "over uplink {number} no answer: {silent:?}");
    }
    Ok(())
}

/// Waits until the rules of the prefixes are there, or are not.
fn ruled(lab: &Lab, wanted: bool) -> Result<()> {
    wait::until("the prefixes have their rules", SOON, || {
        let mut right = true;
        for family in Family::BOTH {
            let rules = lab.host.ip(&format!("{} rule show", family.option()))?;
            right &= rules.contains(&format!("from {} ", addressing::guests(family))) == wanted;
        }
        Ok(right.then_some(()))
    })
}

fn answers(configuration: &str) -> Result<()> {
    let (lab, bound, wildcard) = build()?;
    lab.meet_default_gateway()?;
    let before = lab.snapshot()?;
    change(&lab, "add")?;
    let without = silent(&lab, 2)?;
    ensure!(without.len() == 16, "without prroute silent: {without:?}");
    change(&lab, "del")?;

    let mut prroute = lab.prroute()?;
    prroute.configure(configuration)?;
    let daemon = prroute.run(&[])?;
    ruled(&lab, false)?;
    change(&lab, "add")?;
    ruled(&lab, true)?;
    all_answered(&lab)?;

    // They go, and what was asked is no source any more.
    change(&lab, "del")?;
    ruled(&lab, false)?;
    let gone = silent(&lab, 1)?;
    ensure!(gone.len() == 16, "answered from what is not local: silent are only {gone:?}");

    // And are there when a daemon starts.
    daemon.terminate()?;
    change(&lab, "add")?;
    let daemon = prroute.run(&[])?;
    all_answered(&lab).context("after a new start")?;
    daemon.terminate()?;
    prroute.down()?;
    change(&lab, "del")?;
    lab.expect_unchanged_since(&before)?;
    drop((bound, wildcard));
    Ok(())
}

#[test]
fn a_local_prefix_is_answered_over_every_uplink() -> Result<()> {
    answers("attach = \"auto\"\n")
}

#[test]
fn a_local_prefix_is_answered_over_every_uplink_by_clsact() -> Result<()> {
    answers("attach = \"clsact\"\n")
}

/// As before VRFs are made: what comes in is routed by them before it is local.
#[test]
fn where_the_local_table_is_looked_up_last_the_host_reaches_itself() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    for option in Family::BOTH.map(Family::option) {
        lab.host.ip(&format!("{option} rule add priority 32765 table local"))?;
        lab.host.ip(&format!("{option} rule del priority 0"))?;
    }
    let before = lab.snapshot()?;
    lab.with_prroute(|_| {
        for (number, family) in (1..=UPLINKS).flat_map(|n| Family::BOTH.map(|family| (n, family))) {
            let own = addressing::host(number, family).to_string();
            let ping =
                ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "5", "-I", &own, &own];
            lab.host.run(&ping).with_context(|| format!("{own} asks itself"))?;
        }
        probe::expect_all_answered(&lab.ask(&probe::to_everything(UPLINKS))?)
    })?;
    lab.expect_unchanged_since(&before)
}
