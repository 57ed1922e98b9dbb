//! Another program deletes our rules: they come back, and it does not become a fight.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, socket, wait};

const PORT: u16 = 7007;

/// Longer than the first few pauses.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn rules_that_are_flushed_again_and_again_come_back_each_time() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let installed = lab.host.ip("rule show")?;
        let healed = || {
            wait::until("the rules are back", SOON, || {
                Ok((lab.host.ip("rule show")? == installed).then_some(()))
            })
        };
        for round in 1..=10 {
            lab.host.ip("rule flush protocol 213")?;
            healed().with_context(|| format!("round {round}:\n{}", prroute.log()))?;
        }
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

        // From the eleventh time on it has to wait, at first for a second, which a busy machine may
        // have let pass by itself.
        let refused = || prroute.log().contains("deleted again and again");
        for _ in 0..6 {
            lab.host.ip("rule flush protocol 213")?;
            wait::until("they are back, or it is said that they wait", SOON, || {
                Ok((refused() || lab.host.ip("rule show")? == installed).then_some(()))
            })
            .with_context(|| prroute.log())?;
            if refused() {
                break;
            }
        }
        ensure!(refused(), "never a pause:\n{}", prroute.log());
        // Everything else goes on meanwhile.
        lab.host.ip("address add 10.0.2.77/24 dev up2")?;
        healed().with_context(|| prroute.log())?;

        // A line for each time, that says who it was: nobody that is known runs here. A flush that
        // takes its time is answered twice.
        let log = prroute.log();
        let lines: Vec<&str> =
            log.lines().filter(|line| line.contains("that were deleted, ")).collect();
        let names =
            |line: &&str| line.contains("by an unknown program") || line.contains("likely by");
        ensure!(lines.len() >= 11 && lines.iter().all(names), "{log}");
        // The report is written after the rules are back.
        wait::until("status counts each time", SOON, || {
            Ok((prroute.status()?["healed"]["times"] == lines.len()).then_some(()))
        })
    })
}

/// Counts the datagrams to the shared address that are answered until it is told to stop; the
/// first one that is lost is an error.
fn converse(lab: &Lab, family: Family, stop: &AtomicBool) -> Result<u32> {
    let client = socket::udp(&lab.client, addressing::stateless_client(family), 0)?;
    let target = SocketAddr::new(addressing::shared(family), PORT);
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        ensure!(echo::udp_round(&client, target, 500)?, "{family}: lost after {rounds} rounds");
        rounds += 1;
    }
    Ok(rounds)
}

/// What a rule decides waits until the rule is back; what the datapath decides does not notice.
#[test]
fn flushes_under_traffic_lose_no_packet_that_the_datapath_holds() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.steer_both(2)?;
    let own = Family::BOTH.map(|family| addressing::host(2, family));
    let addresses = [Family::BOTH.map(addressing::shared), own].concat();
    let echo = Echo::start(&lab.host, &addresses, PORT)?;
    let log = lab.prroute()?.while_running(|prroute| {
        let rules = || -> Result<String> {
            Ok(lab.host.ip("-4 rule show")? + &lab.host.ip("-6 rule show")?)
        };
        let installed = rules()?;
        let mut bound = Vec::new();
        for address in own {
            let client = addressing::client(2, Family::of(address));
            let mut tcp = socket::tcp(&lab.client, client, address, PORT)?;
            echo::tcp_round(&mut tcp, 500)?;
            bound.push(tcp);
        }
        let stop = AtomicBool::new(false);
        let rounds = std::thread::scope(|scope| -> Result<Vec<u32>> {
            let talks = Family::BOTH.map(|family| {
                let (lab, stop) = (&lab, &stop);
                scope.spawn(move || converse(lab, family, stop))
            });
            let flushed =
                (1..=10).try_for_each(|round| -> Result<()> {
                    lab.host.ip("-4 rule flush protocol 213")?;
                    lab.host.ip("-6 rule flush protocol 213")?;
                    wait::until("the rules are back", SOON, || {
                        Ok((rules()? == installed).then_some(()))
                    })
                    .with_context(|| {
                        let now = rules().unwrap_or_else(|error| error.to_string());
                        let log = prroute.log();
                        format!("round {round}:\n{log}\nwere:\n{installed}\nare:\n{now}")
                    })
                });
            stop.store(true, Ordering::Relaxed);
            let rounds =
                talks.map(|talk| talk.join().unwrap_or_else(|_| anyhow::bail!("panicked")));
            flushed?;
            rounds.into_iter().collect()
        })?;
        ensure!(rounds.iter().all(|rounds| *rounds > 10), "{rounds:?}: hardly any traffic");
        for tcp in &mut bound {
            echo::tcp_round(tcp, 500).context("a connection to an address with rules")?;
        }
        Ok(())
    })?;
    ensure!(log.contains("that were deleted, "), "{log}");
    drop(echo);
    Ok(())
}
