//! `own-source = "datapath"`: no rule is ever made, the programs' tables say what main routes over each
//! uplink, and where rules are needed after all they are those alone.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, LpmTrie, Map, MapData};
use prroute_common::address::octets4;
use prroute_common::names;
use prroute_common::uplink::{MAX_UPLINKS, OnLink4, OnLink6, UplinkFacts, flag};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::process::Process;
use prroute_tests::prroute::{self, Instance, OwnSource};
use prroute_tests::{probe, wait};

/// The promise for what is announced.
const SOON: Duration = Duration::from_secs(1);
/// For what a command line has to start for.
const PATIENCE: Duration = Duration::from_secs(5);

const BY_DATAPATH: &str = "own-source = \"datapath\"\n";

fn map<T: TryFrom<Map, Error: std::error::Error + Send + Sync + 'static>>(
    prroute: &Instance<'_>,
    name: &str,
    kind: fn(MapData) -> Map,
) -> Result<T> {
    let layout = format!("v{}", prroute_common::LAYOUT_VERSION);
    let pin = prroute::pins(prroute.name()).join(layout).join(name);
    let data = MapData::from_pin(&pin).with_context(|| format!("open {}", pin.display()))?;
    T::try_from(kind(data)).with_context(|| format!("open {}", pin.display()))
}

/// The flags of every uplink that is known, by id.
fn flags(prroute: &Instance<'_>) -> Result<Vec<u32>> {
    let active: Array<MapData, u32> = map(prroute, names::ACTIVE_FACTS, Map::Array)?;
    let facts: Array<MapData, UplinkFacts> = map(prroute, names::UPLINK_FACTS, Map::Array)?;
    let mut all = Vec::new();
    for id in 1..MAX_UPLINKS {
        match active.get(&id, 0)? {
            0 => {}
            index => all.push(facts.get(&index, 0)?.flags),
        }
    }
    Ok(all)
}

/// Uplink ids and prefixes of the tables of both families.
fn main_routes(prroute: &Instance<'_>) -> Result<BTreeSet<(u32, String)>> {
    let mut all = BTreeSet::new();
    let v4: LpmTrie<MapData, OnLink4, u32> = map(prroute, names::MAIN_ROUTES4, Map::LpmTrie)?;
    for key in v4.keys() {
        let key = key?;
        let OnLink4 { uplink, address } = key.data();
        let (address, length) = (Ipv4Addr::from(octets4(address)), key.prefix_len() - 32);
        all.insert((u32::from_be_bytes(uplink), format!("{address}/{length}")));
    }
    let v6: LpmTrie<MapData, OnLink6, u32> = map(prroute, names::MAIN_ROUTES6, Map::LpmTrie)?;
    for key in v6.keys() {
        let key = key?;
        let OnLink6 { uplink, address } = key.data();
        let octets: [u8; 16] = bytemuck::cast(address);
        let (address, length) = (Ipv6Addr::from(octets), key.prefix_len() - 32);
        all.insert((u32::from_be_bytes(uplink), format!("{address}/{length}")));
    }
    Ok(all)
}

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

/// Which families' own sources the programs keep, on every uplink.
fn kept(prroute: &Instance<'_>) -> Result<(bool, bool)> {
    let flags = flags(prroute)?;
    let is_set = |flag: u32| -> Result<bool> {
        let count = flags.iter().filter(|flags| **flags & flag != 0).count();
        ensure!(count == 0 || count == flags.len(), "{count} of {} uplinks", flags.len());
        Ok(count > 0)
    };
    Ok((is_set(flag::OWN_SOURCE4)?, is_set(flag::OWN_SOURCE6)?))
}

/// How many rules there are beside the kernel's, and lines with our protocol in rules and routes.
fn ours(lab: &Lab, family: Family) -> Result<(usize, usize)> {
    let option = family.option();
    let kernels = if family == Family::V4 { 3 } else { 2 };
    let rules = lab.host.ip(&format!("{option} -details rule show"))?;
    let routes = lab.host.ip(&format!("{option} route show table all"))?;
    let lines = rules.lines().chain(routes.lines());
    let tagged = lines.filter(|line| line.contains("proto 213")).count();
    Ok((rules.lines().count() - kernels, tagged))
}

/// Hears of every rule that is made or deleted on the host.
struct Rules(Process);

impl Rules {
    /// A route that concerns nobody, and is heard of in its turn.
    const MARK: &str = "blackhole 198.18.0.1";

    fn listen(lab: &Lab) -> Result<Self> {
        let mut monitor = lab.host.spawn(&["ip", "-ts", "monitor", "label", "rule", "route"])?;
        let mut marked = false;
        wait::until("ip monitor listens", PATIENCE, || {
            if marked {
                lab.host.ip(&format!("route del {}", Self::MARK))?;
            }
            lab.host.ip(&format!("route add {}", Self::MARK))?;
            marked = true;
            monitor.check_running()?;
            Ok(monitor.log().contains(Self::MARK).then_some(()))
        })?;
        Ok(Self(monitor))
    }

    /// The rules that it has heard of since it began to listen, and all that were made meanwhile.
    fn heard(&mut self, lab: &Lab) -> Result<Vec<String>> {
        lab.host.ip(&format!("route del {}", Self::MARK))?;
        let is_last = |log: &str| log.contains(&format!("Deleted {}", Self::MARK)).then_some(());
        self.0.wait_log("ip monitor has heard all", PATIENCE, is_last)?;
        let log = self.0.log();
        Ok(log.lines().filter(|line| line.contains("[RULE]")).map(str::to_owned).collect())
    }
}

#[test]
fn no_rule_is_ever_made_or_deleted() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let none = |when: &str| -> Result<()> {
        for family in Family::BOTH {
            assert_eq!(ours(&lab, family)?, (0, 0), "{when}, {family}");
        }
        Ok(())
    };
    let mut rules = Rules::listen(&lab)?;
    let daemon = prroute.run(&[])?;
    none("after the start")?;
    assert_eq!(kept(&prroute)?, (true, true));
    // Replies leave right all the same.
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

    lab.host.ip("address add 10.0.2.77/24 dev up2")?;
    lab.host.ip("address add 203.0.113.7/32 dev lo")?;
    lab.host.ip("link set up3 down")?;
    wait::until("the change is seen", PATIENCE, || {
        // While a device goes, its programs are missing for a moment.
        let Ok(status) = prroute.status() else { return Ok(None) };
        let seen = status["uplinks"][2]["up"] != true
            && status["uplinks"][1]["addresses"].to_string().contains("10.0.2.77");
        Ok(seen.then_some(()))
    })?;
    none("after changes")?;
    let status = prroute.output(&["status"])?.success()?;
    for line in ["own source, IPv4: datapath", "own source, IPv6: datapath"] {
        ensure!(status.lines().any(|said| said == line), "{status}");
    }
    ensure!(!status.contains("asks all rules"), "{status}");
    let json = prroute.status()?;
    assert_eq!(json["own_source"][0]["kept_by"], "datapath", "{json:#}");
    assert_eq!(json["own_source"][0]["rules"], serde_json::json!([]), "{json:#}");

    lab.host.ip("link set up3 up")?;
    daemon.terminate()?;
    none("after the daemon's end")?;
    let daemon = prroute.run(&[])?;
    none("after another start")?;
    daemon.terminate()?;
    prroute.down()?;
    none("after down")?;
    let heard = rules.heard(&lab)?;
    ensure!(heard.is_empty(), "rules were made or deleted: {heard:#?}");
    Ok(())
}

#[test]
fn down_leaves_everything_as_it_was() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let daemon = prroute.run(&[])?;
    daemon.terminate()?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(!changes.is_empty(), "programs, neighbours and sysctls");
    prroute.down()?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty(), "{changes}");
    Ok(())
}

#[test]
fn what_main_routes_over_uplinks_is_a_fact_within_a_second() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let gateway = |number| addressing::gateway(number, Family::V4);
    let gateway6 = |number| addressing::gateway(number, Family::V6);
    // There before the start.
    lab.host.ip(&format!("route add 192.0.2.0/24 via {} dev up2", gateway(2)))?;
    let daemon = prroute.run(&[])?;
    await_main_routes(&prroute, &[(2, "192.0.2.0/24")])?;

    lab.host.ip(&format!("route add 2001:db8:77::/48 via {} dev up3", gateway6(3)))?;
    lab.host.ip("route add 192.0.3.1/32 dev up1")?;
    let hops = [1, 3].map(|n| format!("nexthop via {} dev up{n}", gateway(n))).join(" ");
    lab.host.ip(&format!("route add 192.0.4.0/22 {hops}"))?;
    let multipath = [(1, "192.0.4.0/22"), (3, "192.0.4.0/22")];
    // What is on the link is a fact in line, as there are few such prefixes.
    let rest = [(2, "192.0.2.0/24"), (3, "2001:db8:77::/48")];
    await_main_routes(&prroute, &[multipath, rest].concat())?;

    // To another uplink, to what is no uplink, and from there to nowhere.
    lab.host.ip("route del 192.0.3.1/32 dev up1")?;
    lab.host.ip("route del 192.0.4.0/22")?;
    lab.host.ip("route del 2001:db8:77::/48")?;
    lab.host.ip(&format!("route replace 192.0.2.0/24 via {} dev up3", gateway(3)))?;
    await_main_routes(&prroute, &[(3, "192.0.2.0/24")])?;
    lab.host.ip("link add vpn0 type bridge")?;
    lab.host.ip("link set vpn0 up")?;
    lab.host.ip("route add 10.200.0.1/32 dev vpn0")?;
    lab.host.ip("route replace 192.0.2.0/24 via 10.200.0.1 dev vpn0")?;
    await_main_routes(&prroute, &[])?;
    // Routes of other tables, default routes, and what refuses are none.
    lab.host.ip(&format!("route add 192.0.5.0/24 via {} dev up2 table 77", gateway(2)))?;
    lab.host.ip(&format!("route add 0.0.0.0/1 via {} dev up2", gateway(2)))?;
    lab.host.ip("route add blackhole 192.0.7.0/24")?;
    lab.host.ip(&format!("route add 192.0.6.0/24 via {} dev up2", gateway(2)))?;
    await_main_routes(&prroute, &[(2, "192.0.6.0/24")])?;
    // The kernel does not announce what goes with a link.
    lab.host.ip("link set up2 down")?;
    await_main_routes(&prroute, &[])?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// A million routes cannot be facts; another uplink's few are, and it is said.
#[test]
fn one_uplinks_thousands_of_routes_leave_anothers_in() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, shared: false, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let net = |n: u32| format!("{}/32", Ipv4Addr::from(0x0b00_0000 + n));
    let lines: String = (0..20_000).map(|n| format!("route add {} dev up2\n", net(n))).collect();
    lab.host.ip_batch(&lines)?;
    lab.host.ip("route add 192.0.2.0/24 dev up1")?;
    let daemon = prroute.run(&[])?;
    let there = main_routes(&prroute)?;
    ensure!(there.len() == prroute_common::uplink::MAX_MAIN_ROUTES as usize, "{}", there.len());
    let left_out = prroute.status()?["left_out"].clone();
    ensure!(left_out[0]["main_routes"].as_u64() > Some(3_000), "{left_out:#}");
    lab.host.ip(&format!(
        "route add 192.0.9.0/24 via {} dev up1",
        addressing::gateway(1, Family::V4)
    ))?;
    wait::until("another uplink's route is a fact", Duration::from_secs(3), || {
        Ok(main_routes(&prroute)?.contains(&(1, "192.0.9.0/24".to_owned())).then_some(()))
    })?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn the_option_can_be_changed_while_it_runs() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?.own_source(OwnSource::Rules)?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    assert_eq!(kept(&prroute)?, (false, false));
    let made = ours(&lab, Family::V4)?;
    ensure!(made.0 > 4 && made.1 > made.0, "{made:?}");
    let asked = addressing::host(2, Family::V4);
    let by_rules = || -> Result<bool> {
        Ok(lab.host.ip(&format!("route get 192.0.2.1 from {asked}"))?.contains("dev up2"))
    };
    ensure!(by_rules()?);
    for round in 0..2 {
        prroute.configure(BY_DATAPATH)?;
        let told = prroute.output(&["reload"])?;
        ensure!(told.status.success(), "{told:?}");
        ensure!(told.stderr.contains("until the next boot"), "{round}: {told:?}");
        for family in Family::BOTH {
            assert_eq!(ours(&lab, family)?, (0, 0), "{family}");
        }
        assert_eq!(kept(&prroute)?, (true, true));
        let status = prroute.output(&["status"])?.success()?;
        ensure!(status.contains("IPv4: there have been rules: "), "{status}");
        ensure!(!by_rules()?, "main decides");
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

        prroute.configure("")?;
        let told = prroute.output(&["reload"])?;
        ensure!(told.status.success() && told.stderr.is_empty(), "{told:?}");
        assert_eq!(ours(&lab, Family::V4)?, made);
        assert_eq!(kept(&prroute)?, (false, false));
        ensure!(by_rules()?);
    }
    // A start with the other one takes over, too.
    daemon.terminate()?;
    prroute.configure(BY_DATAPATH)?;
    let daemon = prroute.run(&[])?;
    assert_eq!((ours(&lab, Family::V4)?, kept(&prroute)?), ((0, 0), (true, true)));
    daemon.terminate()?;
    prroute.down()?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty(), "{changes}");
    Ok(())
}

#[test]
fn a_family_without_a_default_route_in_main_is_kept_by_rules() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let defaults = lab.host.ip("-6 route show default")?;
    let defaults: Vec<&str> = defaults.lines().map(str::trim).collect();
    let change = |verb: &str| -> Result<()> {
        defaults
            .iter()
            .try_for_each(|route| lab.host.ip(&format!("-6 route {verb} {route}")).map(drop))
    };
    change("del")?;
    let mut heard = Rules::listen(&lab)?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let daemon = prroute.run(&[])?;
    let by = |expected: (bool, bool)| -> Result<()> {
        wait::until("each family is kept", SOON, || {
            let rules = Family::BOTH.map(|family| ours(&lab, family));
            let [v4, v6] = rules;
            let by_rules = (v4?.0 > 0, v6?.0 > 0);
            Ok((kept(&prroute)? == expected && by_rules == (!expected.0, !expected.1))
                .then_some(()))
        })
        .with_context(|| daemon.process.log())
    };
    by((true, false))?;
    let status = prroute.output(&["status"])?.success()?;
    for said in [
        "own source, IPv4: datapath",
        "own source, IPv6: rules, as main has no default route",
        "IPv6: the kernel asks all rules",
    ] {
        ensure!(status.contains(said), "no {said:?} in {status}");
    }
    change("add")?;
    by((true, true))?;
    assert_eq!(ours(&lab, Family::V6)?, (0, 0));
    change("del")?;
    by((true, false))?;
    let heard = heard.heard(&lab)?;
    ensure!(heard.len() > 4 && heard.iter().all(|rule| !rule.contains("10.0.")), "{heard:#?}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn options_that_need_rules_have_those_alone_and_it_is_said() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let mut prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    prroute.configure("[[uplink]]\nname = \"up2\"\nto = [\"192.0.2.1\"]\n")?;
    let daemon = prroute.run(&[])?;
    assert_eq!((ours(&lab, Family::V4)?.0, ours(&lab, Family::V6)?), (2, (0, 0)));
    ensure!(lab.host.ip("route get 192.0.2.1")?.contains("dev up2"));
    assert_eq!(kept(&prroute)?, (true, true));
    let plan = prroute.output(&["plan"])?.success()?;
    let status = prroute.output(&["status"])?.success()?;
    for text in [&plan, &status] {
        ensure!(text.contains("because there are rules: prroute's for `to`"), "{text}");
    }
    prroute.configure("bind-device = true\n")?;
    prroute.output(&["reload"])?.success()?;
    assert_eq!((ours(&lab, Family::V4)?.0, ours(&lab, Family::V6)?.0), (4, 4));
    lab.host.ip("rule add priority 5500 from 10.77.0.0/16 lookup main")?;
    let status = prroute.output(&["status"])?.success()?;
    let said = "rules: prroute's for bind-device, one of others (priority 5500)";
    ensure!(status.contains(said), "{status}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
