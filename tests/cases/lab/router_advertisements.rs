//! IPv6 by router advertisements: routers that appear, change and expire, addresses that are
//! tentative, temporary and deprecated.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::advertiser::{Advertisement, Advertiser};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::witness::Witness;
use prroute_tests::{router, wait};

/// Programs and duplicate address detection need their time; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the host makes of its MAC address and the second uplink's prefix.
const STABLE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0xff, 0xfe00, 0x210));

/// Another router on the second uplink's link.
const OTHER_MAC: &str = "02:00:00:00:02:02";

/// Seconds for which the other router holds: it says so again every four.
const LIFETIME: u16 = 9;

/// Two uplinks, of which the second has no IPv6 before it is advertised.
fn build() -> Result<Lab> {
    let lab = Lab::with_services(Topology {
        uplinks: 2,
        shared: false,
        rp_filter: 1,
        routers_know_host: false,
        ..Topology::DEFAULT
    })?;
    lab.unconfigure(2, Family::V6)?;
    lab.host.sysctl(&[
        "net.ipv6.conf.up2.accept_ra=1",
        "net.ipv6.conf.up2.accept_dad=1",
        "net.ipv6.conf.up2.dad_transmits=1",
        // The other router is to be used although it forwards to the first one.
        "net.ipv6.conf.up2.accept_redirects=0",
        // The kernel cleans up late; so late that nobody can rely on it.
        "net.ipv6.route.gc_interval=3600",
    ])?;
    Ok(lab)
}

fn advertisement() -> Advertisement {
    Advertisement::of(&addressing::prefix(2, Family::V6))
}

/// The provider's router advertises itself and the prefix.
fn advertise(lab: &Lab) -> Result<Advertiser> {
    let router = &lab.router(2).namespace;
    Advertiser::start(router, router::LAN, &lab.scratch, &advertisement())
}

/// A router that knows no other way out than the provider's.
fn other_router(lab: &Lab) -> Result<Namespace> {
    let other = lab.stranger(2, "other")?;
    other.sysctl(&["net.ipv6.conf.all.forwarding=1"])?;
    other.ip_batch(&format!(
        "link set eth0 address {OTHER_MAC}\n\
         address add fe80::2/64 dev eth0 nodad\n\
         route add ::/0 via {} dev eth0\n",
        addressing::GATEWAY_LINK_LOCAL
    ))?;
    Ok(other)
}

/// The gateway of the second uplink's IPv6 default route, in main or in prroute's table.
fn gateway(lab: &Lab, table: &str) -> Result<Option<String>> {
    let routes = lab.host.ip(&format!("-6 route show default table {table}"))?;
    let route = routes.lines().find(|line| line.contains(" dev up2 "));
    let via = route.and_then(|route| route.split_once(" via ")?.1.split_whitespace().next());
    Ok(via.map(str::to_owned))
}

const OURS: &str = "21002";

/// Waits until prroute sends packets from the second uplink to a router, and to which.
fn routed_by(lab: &Lab, namespace: &Namespace, device: &str) -> Result<()> {
    let addresses = namespace.ip(&format!("-6 address show dev {device} scope link"))?;
    let of_router = |gateway: &String| addresses.contains(&format!(" {gateway}/"));
    wait::until("the table has this router", DEADLINE, || {
        Ok(gateway(lab, OURS)?.filter(of_router).map(drop))
    })
}

fn ping(target: IpAddr) -> Probe {
    let source = addressing::client(2, Family::V6);
    Probe { question: Question::Ping, source, target }
}

fn answered(lab: &Lab, targets: &[IpAddr]) -> Result<()> {
    let probes: Vec<Probe> = targets.iter().map(|&target| ping(target)).collect();
    lab.expect_answered_within(DEADLINE, &probes)
}

/// The link-layer address that answers are sent to.
fn answers_go_to(lab: &Lab, mac: &str) -> Result<()> {
    // Echo replies.
    let capture = Capture::start(&lab.host, "up2", "out", "icmp6 and ip6[40] == 129")?;
    probe::expect_all_answered(&lab.ask(&[ping(STABLE), ping(STABLE), ping(STABLE)])?)?;
    let lines = capture.stop()?;
    let there = format!(" > {mac},");
    ensure!(lines.len() == 3 && lines.iter().all(|line| line.contains(&there)), "{lines:#?}");
    Ok(())
}

/// The second uplink's global IPv6 addresses with their flags.
fn addresses(lab: &Lab) -> Result<Vec<(IpAddr, String)>> {
    let text = lab.host.ip("-6 -o address show dev up2 scope global")?;
    let parse = |line: &str| -> Result<(IpAddr, String)> {
        let (_, rest) = line.split_once(" inet6 ").with_context(|| line.to_owned())?;
        let (address, flags) = rest.split_once('/').with_context(|| line.to_owned())?;
        Ok((address.parse()?, flags.to_owned()))
    };
    text.lines().map(parse).collect()
}

#[test]
fn routers_that_appear_change_and_expire_are_followed() -> Result<()> {
    let lab = build()?;
    let other = other_router(&lab)?;
    let provider = advertise(&lab)?;
    wait::until("an address and a router", DEADLINE, || {
        let usable = |(address, flags): &(IpAddr, String)| {
            *address == STABLE && !flags.contains("tentative")
        };
        let there = addresses(&lab)?.iter().any(usable) && gateway(&lab, "main")?.is_some();
        Ok(there.then_some(()))
    })?;
    let before = lab.snapshot()?;
    let witness = Witness::start(&lab.host)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let provider_router = &lab.router(2).namespace;
    routed_by(&lab, provider_router, router::LAN)?;
    answers_go_to(&lab, &addressing::gateway_mac(2))?;

    // Another router takes over.
    let brief = Advertisement { lifetime: LIFETIME, prefix: None, ..advertisement() };
    let second = Advertiser::start(&other, "eth0", &lab.scratch, &brief)?;
    wait::until("the host knows two routers", DEADLINE, || {
        let routes = lab.host.ip("-6 route show default dev up2")?;
        Ok((routes.matches(" proto ra ").count() == 2).then_some(()))
    })?;
    provider.withdraw()?;
    routed_by(&lab, &other, "eth0")?;
    answers_go_to(&lab, OTHER_MAC)?;

    // It falls silent. With no router left, answers go to where the question came from.
    second.fall_silent()?;
    wait::until("the table has no router", DEADLINE, || {
        Ok(gateway(&lab, OURS)?.is_none().then_some(()))
    })?;
    ensure!(gateway(&lab, "main")?.is_some(), "the kernel was first");
    answered(&lab, &[STABLE])?;
    answers_go_to(&lab, &addressing::gateway_mac(2))?;

    // The provider's is back.
    let provider = advertise(&lab)?;
    routed_by(&lab, provider_router, router::LAN)?;
    answers_go_to(&lab, &addressing::gateway_mac(2))?;

    witness.account()?.no_address_lost_its_rule()?;
    daemon.terminate()?;
    prroute.down()?;
    // What the silent router left.
    lab.host.sysctl(&["net.ipv6.route.flush=1"])?;
    lab.expect_unchanged_since(&before)?;
    drop(provider);
    Ok(())
}

/// The kernel changes main's route and the interface without announcing either.
#[test]
fn an_mtu_that_a_router_advertises_holds_and_leaves_nothing_to_be_mended() -> Result<()> {
    let lab = build()?;
    let provider = advertise(&lab)?;
    wait::until("a router", DEADLINE, || gateway(&lab, "main"))?;
    lab.with_prroute(|prroute| {
        routed_by(&lab, &lab.router(2).namespace, router::LAN)?;
        answered(&lab, &[STABLE])?;
        let nothing_to_change = || {
            let plan = prroute.output(&["plan"])?.stdout;
            Ok(plan.contains("# nothing to change").then_some(()))
        };
        wait::until("all is in place", DEADLINE, nothing_to_change)?;
        // Of an address that is said again there would be an announcement.
        provider.change(&Advertisement { mtu: Some(1400), prefix: None, ..advertisement() })?;
        wait::until("main's route says so", DEADLINE, || {
            let routes = lab.host.ip("-6 route show default dev up2")?;
            Ok(routes.contains(" mtu 1400").then_some(()))
        })?;
        let plan = prroute.output(&["plan"])?.success()?;
        ensure!(plan.contains("# nothing to change"), "{plan}");
        // Packets from an own address are no larger all the same.
        let (from, to) = (STABLE.to_string(), addressing::client(2, Family::V6).to_string());
        let large = ["-c", "1", "-W", "5", "-M", "do", "-s", "1390", "-I", &from, &to];
        let output = lab.host.output(&[&["ping", "-6"][..], &large].concat())?;
        let said = format!("{}{}", output.stdout, output.stderr);
        ensure!(said.contains("too long") && said.contains("1400"), "1438 bytes left: {said}");
        answered(&lab, &[STABLE])
    })?;
    drop(provider);
    Ok(())
}

#[test]
fn tentative_temporary_and_deprecated_addresses_have_their_rules() -> Result<()> {
    let lab = build()?;
    lab.host.sysctl(&["net.ipv6.conf.up2.use_tempaddr=2"])?;
    let before = lab.snapshot()?;
    let witness = Witness::start(&lab.host)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let provider = advertise(&lab)?;
    let temporary = wait::until("a temporary address", DEADLINE, || {
        let all = addresses(&lab)?;
        let of_kind = all.iter().find(|(_, flags)| flags.contains(" temporary"));
        Ok(of_kind.map(|(address, _)| *address))
    })?;
    answered(&lab, &[STABLE, temporary])?;

    provider.change(&Advertisement { preferred: 0, ..advertisement() })?;
    wait::until("they are deprecated", DEADLINE, || {
        let all = addresses(&lab)?;
        let deprecated = all.iter().all(|(_, flags)| flags.contains("deprecated"));
        Ok((all.len() >= 2 && deprecated).then_some(()))
    })?;
    answered(&lab, &[STABLE, temporary])?;

    let account = witness.account()?;
    account.no_address_lost_its_rule()?;
    for address in [STABLE, temporary] {
        ensure!(account.was_ruled_before_use(address), "{address} was used before its rule");
    }
    daemon.terminate()?;
    prroute.down()?;
    // What the advertisements left.
    provider.withdraw()?;
    wait::until("the router is gone", DEADLINE, || {
        Ok(gateway(&lab, "main")?.is_none().then_some(()))
    })?;
    lab.unconfigure(2, Family::V6)?;
    lab.host.ip("-6 route flush dev up2 proto kernel root 2001:db8:2::/64")?;
    lab.expect_unchanged_since(&before)
}

/// RFC 4191: their routes have one metric.
#[test]
fn of_two_routers_the_one_that_says_it_is_preferred_is_the_gateway() -> Result<()> {
    let lab = build()?;
    let other = other_router(&lab)?;
    let low = Advertisement { preference: "low", ..advertisement() };
    let high = Advertisement { prefix: None, preference: "high", ..advertisement() };
    let provider = Advertiser::start(&lab.router(2).namespace, router::LAN, &lab.scratch, &low)?;
    wait::until("a router", DEADLINE, || gateway(&lab, "main"))?;
    lab.with_prroute(|_| {
        routed_by(&lab, &lab.router(2).namespace, router::LAN)?;
        let preferred = Advertiser::start(&other, "eth0", &lab.scratch, &high)?;
        routed_by(&lab, &other, "eth0")?;
        answers_go_to(&lab, OTHER_MAC)?;
        drop(preferred);
        Ok(())
    })?;
    drop(provider);
    Ok(())
}
