//! prroute follows the network: what comes, goes and changes takes effect within a second, and
//! what others delete of ours comes back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::process::Process;
use prroute_tests::prroute::{Daemon, START};
use prroute_tests::wait;

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(15);

fn pings(number: u8, targets: &[IpAddr]) -> Vec<Probe> {
    let probe = |&target: &IpAddr| Probe {
        question: Question::Ping,
        source: addressing::client(number, Family::of(target)),
        target,
    };
    targets.iter().map(probe).collect()
}

#[test]
fn an_uplink_that_comes_later_is_managed() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    for family in Family::BOTH {
        let (option, gateway) = (family.option(), addressing::gateway(2, family));
        lab.host.ip(&format!("{option} route del default via {gateway} dev up2"))?;
    }
    // A veth without a default route is no uplink: one is left, and prroute waits.
    lab.with_prroute(|_| {
        let probes = pings(2, &lab.host_addresses()[2..]);
        assert_eq!(lab.host.ip("rule show")?.lines().count(), 3);
        for family in Family::BOTH {
            let (option, gateway) = (family.option(), addressing::gateway(2, family));
            lab.host.ip(&format!("{option} route add default via {gateway} dev up2 metric 200"))?;
        }
        lab.expect_answered_within(START, &probes)?;

        // And when it goes again, so do its rules.
        lab.host.ip("link del up2")?;
        wait::until("only the kernel's rules are left", SOON, || {
            Ok((lab.host.ip("rule show")?.lines().count() == 3).then_some(()))
        })?;
        Ok(())
    })
}

/// Verifying the programs takes minutes on an emulated processor, and the watchdog waits for 30 s.
#[test]
fn the_watchdog_is_fed_while_the_programs_are_loaded() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    for family in Family::BOTH {
        let (option, gateway) = (family.option(), addressing::gateway(2, family));
        lab.host.ip(&format!("{option} route del default via {gateway} dev up2"))?;
    }
    let twenty_ms = vec!["env".to_owned(), "WATCHDOG_USEC=40000".to_owned()];
    let life = lab.prroute()?.wrapped(twenty_ms).while_running(|prroute| {
        let daemon = &mut prroute.daemon;
        assert!(!daemon.said()?.contains("EXTEND_TIMEOUT_USEC"), "nothing is to be loaded yet");
        for family in Family::BOTH {
            let (option, gateway) = (family.option(), addressing::gateway(2, family));
            lab.host.ip(&format!("{option} route add default via {gateway} dev up2 metric 200"))?;
        }
        wait::until("two uplinks are managed", START, || {
            Ok(daemon.said()?.contains("STATUS=managing 2 uplinks").then_some(()))
        })?;
        let said = daemon.said()?.to_owned();
        let (_, loading) =
            said.split_once("STATUS=loading the programs").context("no such status")?;
        let (loading, _) = loading.split_once("STATUS=").context("no status afterwards")?;
        // One would be that of the begin.
        let fed = loading.matches("WATCHDOG=1").count();
        ensure!(fed > 2 && loading.contains("EXTEND_TIMEOUT_USEC=60000"), "{said}");
        Ok(())
    });
    life.map(drop)
}

/// What a service manager starts after prroute finds its addresses answered.
#[test]
fn ready_means_that_what_exists_is_managed() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let (rules, report) = (lab.host.ip("rule show")?, prroute.status()?);
        ensure!(rules.contains("lookup 21001") && rules.contains("lookup 21002"), "{rules}");
        let hooks = report["uplinks"].as_array().context("no uplinks")?;
        ensure!(
            hooks.len() == 2 && hooks.iter().all(|uplink| uplink["hook"].is_string()),
            "{report}"
        );
        let said = prroute.daemon.said()?;
        let at = |line: &str| said.lines().position(|said| said == line);
        ensure!(at("STATUS=loading the programs") < at("READY=1"), "{said}");
        Ok(())
    })
}

#[test]
fn addresses_that_come_later_are_answered() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    lab.with_prroute(|_| {
        let later: [IpAddr; 2] = ["10.0.2.77".parse()?, "2001:db8:2::77".parse()?];
        for address in later {
            let length = addressing::prefix_length(Family::of(address));
            lab.host.ip(&format!("address add {address}/{length} dev up2"))?;
        }
        lab.expect_answered_within(SOON, &pings(2, &later))
    })
}

/// What `ufw enable` does: the setting for all interfaces makes each one's filter strict.
#[test]
fn filters_that_become_strict_later_are_loosened() -> Result<()> {
    expect_loosened("all", &["up1", "up2"])
}

#[test]
fn filters_that_become_strict_of_their_own_are_loosened() -> Result<()> {
    expect_loosened("up2", &["up2"])
}

/// Somebody makes the filter of `setting` strict, and prroute those of `devices` loose.
fn expect_loosened(setting: &str, devices: &[&str]) -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let values = || -> Result<Vec<String>> {
        let path = |device| format!("/proc/sys/net/ipv4/conf/{device}/rp_filter");
        let value = |device| Ok(lab.host.run(&["cat", &path(device)])?.trim().to_owned());
        devices.iter().map(value).collect()
    };
    let set = |value: u8| lab.host.sysctl(&[&format!("net.ipv4.conf.{setting}.rp_filter={value}")]);
    let before = lab.snapshot()?;
    lab.with_prroute(|_| {
        ensure!(values()?.iter().all(|value| value == "0"), "there was no filter to loosen");
        set(1)?;
        wait::until("they are loose", SOON, || {
            Ok(values()?.iter().all(|value| value == "2").then_some(()))
        })?;
        lab.expect_answered_within(SOON, &pings(2, &lab.host_addresses()[2..]))
    })?;
    set(0)?;
    lab.expect_unchanged_since(&before)
}

/// Longer than the daemon waits for more to come.
const PAUSE: Duration = Duration::from_millis(300);

/// Waits until the daemon sleeps and goes on sleeping: it has answered all that it heard of.
fn settled(daemon: &mut Daemon) -> Result<()> {
    let path = format!("/proc/{}/stat", daemon.process.pid());
    let mut since = Instant::now();
    wait::until("the daemon sleeps", SOON, || {
        daemon.said()?;
        let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        if !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')) {
            since = Instant::now();
        }
        Ok((since.elapsed() > PAUSE).then_some(()))
    })
}

/// Takes away the second uplink's address for a moment, and with it its routes. For how long it was away at most.
fn renew_address(lab: &Lab) -> Result<Duration> {
    const AWAY: Duration = Duration::from_millis(50);
    const GONE: &str = "address del 10.0.2.10/24 dev up2\n";
    const BACK: &str = "address add 10.0.2.10/24 dev up2\n\
                        route add default via 10.0.2.1 dev up2 metric 200\nlink show dev up2\n";
    let shows = |device: &'static str| move |log: &str| log.contains(device).then_some(());
    let mut ip = Process::spawn_with_open_input(&mut lab.host.command(&["ip", "-batch", "-"]))?;
    ip.write_input("link show dev lo\n")?;
    ip.wait_log("that it reads", SOON, shows(": lo:"))?;
    let begun = Instant::now();
    ip.write_input(GONE)?;
    std::thread::sleep(AWAY);
    ip.write_input(BACK)?;
    ip.wait_log("that it has done all", SOON, shows(": up2"))?;
    Ok(begun.elapsed())
}

/// What systemd-networkd does when it is told to configure an interface again: the address is away
/// for some ten milliseconds, and with it go the kernel's and our routes, but not the rules.
#[test]
fn an_address_that_comes_back_at_once_keeps_its_rules() -> Result<()> {
    /// The daemon waits for 100 ms. On a busy machine an address may be away for longer: such a round shows nothing.
    const AT_ONCE: Duration = Duration::from_millis(80);
    const JUDGED: usize = 8;
    const ROUNDS: usize = 100;

    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        // In the order in which things happened.
        let mut heard = lab.host.spawn(&["ip", "monitor", "route", "rule"])?;
        wait::until("ip monitor listens", SOON, || {
            lab.host.ip("route add blackhole 198.18.0.1")?;
            lab.host.ip("route del blackhole 198.18.0.1")?;
            Ok(heard.log().contains("198.18.0.1").then_some(()))
        })?;
        let our_route = |line: &&str| {
            line.starts_with("default via 10.0.2.1 dev up2") && line.contains(" table 21002 ")
        };
        let mut judged = 0;
        for round in 1..=ROUNDS {
            settled(&mut prroute.daemon)?;
            let before = heard.log().len();
            let away = renew_address(&lab)?;
            let is_back = |log: &str| log[before..].lines().find(our_route).map(drop);
            heard.wait_log("the way is back", SOON, is_back)?;
            println!("away for {away:.0?} at most");
            if away >= AT_ONCE {
                continue;
            }
            judged += 1;
            let log = heard.log().split_off(before);
            let lost = log.contains("Deleted 21030");
            ensure!(!lost, "round {round}, away for {away:?}:\n{log}");
            if judged == JUDGED {
                return Ok(());
            }
        }
        bail!("too busy to show anything: {judged} of {ROUNDS} rounds within {AT_ONCE:?}")
    })
}

/// systemd-networkd deletes rules that it does not know.
#[test]
fn rules_and_routes_that_others_delete_come_back() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    lab.with_prroute(|_| {
        let installed = lab.snapshot()?;
        for line in lab.host.ip("rule show")?.lines() {
            let Some((priority, _)) = line.split_once(':') else { continue };
            if !["0", "32766", "32767"].contains(&priority) {
                lab.host.ip(&format!("rule del priority {priority}"))?;
            }
        }
        lab.host.ip("-6 route flush proto 213 table all")?;
        let mut changes = String::new();
        wait::until("everything is as before", SOON, || {
            let now = lab.snapshot()?.changes_since(&installed);
            changes = now.to_string();
            Ok(now.is_empty().then_some(()))
        })
        .with_context(|| changes.clone())?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)
    })
}

/// A provider renumbers: its router and the host have other addresses.
#[test]
fn a_gateway_that_changes_is_used() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    lab.with_prroute(|_| {
        let router = &lab.router(2).namespace;
        router.sysctl(&["net.ipv4.conf.lan.promote_secondaries=1"])?;
        router.ip("address add 10.0.2.2/24 dev lan")?;
        lab.host.ip("route del default via 10.0.2.1 dev up2")?;
        lab.host.ip("route add default via 10.0.2.2 dev up2 metric 200")?;
        router.ip("address del 10.0.2.1/24 dev lan")?;
        lab.host.ip("neigh flush dev up2")?;
        let targets = [addressing::host(2, Family::V4), addressing::shared(Family::V4)];
        lab.expect_answered_within(SOON, &pings(2, &targets))
    })
}

/// Less than an uplink that flaps or is refused would keep another one waiting; the machine may be busy.
const NO_DELAY: Duration = Duration::from_secs(5);

/// Adds addresses to the second uplink, one after the other; how long the slowest one's rules took.
fn slowest_new_address(lab: &Lab, daemon: &mut Daemon, count: u8) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for n in 1..=count {
        let begun = Instant::now();
        lab.host.ip(&format!("address add 198.51.{n}.7/24 dev up2"))?;
        let rule = format!("from 198.51.{n}.0/24 iif lo lookup 21002");
        wait::until("the new address has its rules", SOON, || {
            daemon.said()?;
            Ok(lab.host.ip("rule show")?.contains(&rule).then_some(()))
        })
        .with_context(|| format!("address {n}:\n{}", daemon.process.log()))?;
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest one took {slowest:.1?}");
    Ok(slowest)
}

/// One uplink goes down and comes up all the time, now and then while its routes are made.
#[test]
fn a_flapping_uplink_keeps_no_new_address_of_another_waiting() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    for n in 1..=120 {
        lab.host.ip(&format!("address add 100.64.{n}.1/24 dev up3"))?;
    }
    lab.with_prroute(|prroute| {
        // About when the daemon has waited for more to come, and begins.
        let flap = "ip link set up3 up; ip route replace default via 10.0.3.1 dev up3 metric 300; \
                    sleep 0.0$n; ip link set up3 down; sleep 0.03";
        let forever = format!("while :; do for n in 18 22 24 26 28 32 36; do {flap}; done; done");
        let flapping = lab.host.spawn(&["sh", "-c", &forever])?;
        let slowest = slowest_new_address(&lab, &mut prroute.daemon, 20)?;
        ensure!(slowest < wait::patience(NO_DELAY), "{slowest:?}");
        drop(flapping);
        Ok(())
    })
}

/// The kernel takes no default route by a broadcast address: the third uplink's is refused from the
/// moment its gateway's address is one. The others' rules go on to follow the network.
#[test]
fn an_uplink_that_the_kernel_refuses_keeps_nothing_from_the_others() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    lab.with_configuration("[[uplink]]\nname = \"up3\"\ngateway = [\"10.0.3.1\"]\n", |prroute| {
        lab.host.ip("link set up3 down")?;
        lab.host.ip("address add 10.0.3.77/32 broadcast 10.0.3.1 dev up3")?;
        lab.host.ip("link set up3 up")?;
        let refused = |log: &str| log.contains("Nexthop has invalid gateway").then_some(());
        prroute.daemon.process.wait_log("a refused route", SOON, refused)?;
        let slowest = slowest_new_address(&lab, &mut prroute.daemon, 3)?;
        ensure!(slowest < wait::patience(NO_DELAY), "{slowest:?}");
        let log = prroute.log();
        let named = |line: &str| line.contains("ip route add default via 10.0.3.1 dev up3");
        ensure!(log.lines().any(named), "{log}");
        Ok(())
    })
}
