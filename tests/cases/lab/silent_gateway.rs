//! A gateway that falls silent is found out although its link is up and the kernel does not doubt
//! it; asking it disturbs nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;

/// Far less than the kernel would need here.
const SOON: Duration = Duration::from_secs(60);

/// A lab whose host's kernel trusts an entry for an hour, and whose routers ask for nothing.
fn trusting_lab() -> Result<Lab> {
    let lab = Lab::build(Topology::DEFAULT)?;
    for n in 1..=3 {
        lab.host.sysctl(&[
            &format!("net.ipv4.neigh.up{n}.base_reachable_time_ms=3600000"),
            &format!("net.ipv6.neigh.up{n}.base_reachable_time_ms=3600000"),
        ])?;
    }
    Ok(lab)
}

fn usable(prroute: &Instance<'_>, number: usize) -> Result<[bool; 2]> {
    let status = prroute.status()?;
    let uplink = &status["uplinks"][number - 1];
    let of = |key: &str| uplink[key].as_bool().with_context(|| format!("no {key}: {status}"));
    Ok([of("gateway4_usable")?, of("gateway6_usable")?])
}

fn wait_usable(prroute: &Instance<'_>, number: usize, expected: bool) -> Result<Duration> {
    let start = Instant::now();
    let what = if expected { "usable again" } else { "found out" };
    wait::until(what, SOON, || Ok((usable(prroute, number)? == [expected; 2]).then_some(())))?;
    Ok(start.elapsed())
}

/// Questions to the router of an uplink, as they arrive there.
fn questions(lab: &Lab, number: u8) -> Result<Capture> {
    let filter = "arp[6:2] = 1 or (icmp6 and ip6[40] = 135)";
    Capture::start(&lab.router(number).namespace, "host", "in", filter)
}

#[test]
fn it_is_found_out_and_trusted_again_when_it_answers() -> Result<()> {
    let lab = trusting_lab()?;
    lab.with_configuration("gateway-probe = 1\n", |prroute| {
        wait_usable(prroute, 2, true)?;
        let router = lab.router(2);
        router.fall_silent()?;
        let took = wait_usable(prroute, 2, false).with_context(|| prroute.log())?;
        println!("found out after {took:.1?}");
        assert_eq!([usable(prroute, 1)?, usable(prroute, 3)?], [[true; 2]; 2], "the others answer");
        router.answer_again()?;
        let took = wait_usable(prroute, 2, true).with_context(|| prroute.log())?;
        println!("usable again after {took:.1?}");
        Ok(())
    })
}

/// Replies over the uplink in question are on their way all the time, while its gateway is asked
/// and has not yet answered.
#[test]
fn questions_cost_a_healthy_gateway_one_packet_each_and_no_reply() -> Result<()> {
    let lab = trusting_lab()?;
    lab.steer_both(2)?;
    let mut prroute = lab.prroute()?;
    prroute.configure("gateway-probe = 1\n")?;
    let daemon = prroute.run(&[])?;
    wait_usable(&prroute, 2, true)?;
    // The same on a host that does not ask.
    let other = trusting_lab()?;
    let mut silent = other.prroute()?;
    silent.configure("gateway-probe = 0\n")?;
    let silent_daemon = silent.run(&[])?;
    wait_usable(&silent, 2, true)?;

    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    let (asked, unasked) = (questions(&lab, 2)?, questions(&other, 2)?);
    let clients = Family::BOTH.map(|family| {
        let client = socket::udp(&lab.client, addressing::stateless_client(family), 0)?;
        anyhow::Ok((client, SocketAddr::new(addressing::shared(family), PORT)))
    });
    let clients: Vec<_> = clients.into_iter().collect::<Result<_>>()?;
    let mut rounds = 0;
    while !asked.wait_for(8, Duration::ZERO)? {
        for (client, target) in &clients {
            ensure!(echo::udp_round(client, *target, 200)?, "lost after {rounds} rounds: {target}");
            rounds += 1;
        }
        ensure!(rounds < 10_000_000, "never asked");
    }
    let lines = asked.stop()?;
    let mac = addressing::gateway_mac(2);
    let unicast = |line: &&String| line.contains(&format!("> {mac}"));
    ensure!(lines.iter().all(|line| unicast(&line)), "to nobody else: {lines:#?}");
    ensure!(lines.iter().any(|line| line.contains("ARP")), "{lines:#?}");
    ensure!(lines.iter().any(|line| line.contains("ICMP6")), "{lines:#?}");
    assert_eq!(unasked.stop()?, Vec::<String>::new(), "gateway-probe = 0");
    assert_eq!(prroute.count("no_next_hop")?, 0);
    // What the kernel does for us stays as it was asked for.
    let entries = lab.host.ip("-details neigh show dev up2")?;
    let ours: Vec<&str> = entries.lines().filter(|line| line.contains("proto 213")).collect();
    ensure!(ours.len() == 2 && ours.iter().all(|line| line.contains("managed")), "{entries}");
    drop(echo);
    for (daemon, prroute) in [(daemon, prroute), (silent_daemon, silent)] {
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

/// Packets get lost on the best of links.
#[test]
fn one_lost_question_decides_nothing() -> Result<()> {
    let lab = trusting_lab()?;
    let words = ["env", "PRROUTE_LOG=prroute=debug"].map(str::to_owned).to_vec();
    let prroute = lab.prroute()?.wrapped(words).configured("gateway-probe = 1\n")?;
    let log = prroute.while_running(|prroute| {
        wait_usable(prroute, 2, true)?;
        let router = &lab.router(2).namespace;
        router.nft(
            "table netdev loss {
                chain in {
                    type filter hook ingress device host priority 0;
                    arp operation request limit rate 1/hour burst 1 packets counter drop
                    icmpv6 type nd-neighbor-solicit limit rate 1/hour burst 1 packets counter drop
                }
            }",
        )?;
        let capture = questions(&lab, 2)?;
        let dropped = || -> Result<usize> {
            let list = router.run(&["nft", "list", "table", "netdev", "loss"])?;
            Ok(list.matches("counter packets 1 ").count())
        };
        wait::until("one of each is lost", SOON, || Ok((dropped()? == 2).then_some(())))?;
        // Each has been asked again, and again after that.
        ensure!(capture.wait_for(8, SOON)?, "no further questions");
        capture.stop()?;
        assert_eq!(usable(prroute, 2)?, [true; 2]);
        Ok(())
    })?;
    ensure!(!log.contains("route del"), "nothing was moved:\n{log}");
    Ok(())
}

/// Who says for good where a gateway is wants nobody to ask; the kernel goes on showing such an entry as
/// made by prroute, which had it made first.
#[test]
fn an_entry_that_somebody_makes_permanent_is_not_asked_and_outlives_prroute() -> Result<()> {
    let lab = trusting_lab()?;
    let mac = addressing::gateway_mac(2);
    let expect_permanent = || -> Result<()> {
        for family in Family::BOTH {
            let gateway = addressing::gateway(2, family);
            let entry = lab.host.ip(&format!("neigh show {gateway} dev up2"))?;
            let is_theirs = entry.contains(&mac.to_string()) && entry.contains("PERMANENT");
            ensure!(is_theirs, "{gateway}: {entry:?}");
        }
        Ok(())
    };
    lab.with_configuration("gateway-probe = 1\n", |prroute| {
        wait_usable(prroute, 2, true)?;
        for family in Family::BOTH {
            let gateway = addressing::gateway(2, family);
            let entry = format!("{gateway} lladdr {mac} dev up2 nud permanent");
            lab.host.ip(&format!("neigh replace {entry}"))?;
        }
        let (permanent, other) = (questions(&lab, 2)?, questions(&lab, 1)?);
        // Two questions in each period, one for each family.
        ensure!(
            other.wait_for(7, SOON)?,
            "the gateway of another uplink is asked\n{}",
            prroute.log()
        );
        expect_permanent()?;
        assert_eq!(permanent.stop()?, Vec::<String>::new(), "nobody asks");
        assert_eq!(usable(prroute, 2)?, [true; 2], "replies go there");
        let status = prroute.status()?;
        let findings = status["findings"].to_string();
        ensure!(!findings.contains("neighbour-missing"), "{findings}");
        Ok(())
    })?;
    expect_permanent()
}
