//! Routes that flap by the hundred thousand cost prroute neither memory nor, afterwards, time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use prroute_tests::command::output_within;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::large::cpu_time;
use prroute_tests::process::Process;
use prroute_tests::{probe, wait};

const PATIENCE: Duration = Duration::from_secs(120);

/// The daemon looks at its programs and pins every two seconds, also when it has nothing to do.
const IDLE: Duration = Duration::from_secs(4);

/// More than a daemon needs for anything, less than it would need to remember the flaps.
const MEMORY: u64 = 8 << 20;

/// Runs `pairs` times two lines of `ip` in the host; `{}` stands for the number of the pair.
fn flap(lab: &Lab, pairs: u32, add: &str, delete: &str) -> Result<()> {
    let mut lines = String::new();
    for n in 0..pairs {
        let [_, a, b, c] = n.to_be_bytes();
        let net = format!("100.{}.{b}.{c}", 64 + a);
        for line in [add, delete] {
            lines += &line.replace("{}", &net);
            lines.push('\n');
        }
    }
    let mut ip = std::process::Command::new("ip");
    ip.args(["-n", lab.host.name(), "-batch", "-"]);
    output_within(&mut ip, PATIENCE, &lines)?.success().map(drop)
}

/// The most memory that a process has had so far, in bytes.
fn peak_memory(process: &Process) -> Result<u64> {
    let path = format!("/proc/{}/status", process.pid());
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("no VmHWM in {status}"))? << 10)
}

/// Waits until `IDLE` takes a process no more CPU time than `most`, and says how much it took.
fn wait_idle(process: &Process, most: Duration) -> Result<Duration> {
    let mut since = (Instant::now(), cpu_time(process)?);
    wait::until("it is idle", PATIENCE, || {
        let now = cpu_time(process)?;
        if now - since.1 > most {
            since = (Instant::now(), now);
        }
        Ok((since.0.elapsed() >= IDLE).then(|| now - since.1))
    })
    .inspect(|took| println!("idle: {took:.1?}"))
}

/// Rules and routes of both families. The state of neighbours is the kernel's business.
fn routing(lab: &Lab) -> Result<String> {
    let dumps = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all"];
    let dumps = dumps.map(|dump| lab.host.ip(dump)).into_iter();
    Ok(dumps.collect::<Result<Vec<_>>>()?.join("--\n"))
}

/// A probe's own patience is short for a busy machine.
fn answered(lab: &Lab) -> Result<()> {
    lab.expect_answered_within(PATIENCE, &probe::to_everything(3))
}

#[test]
fn a_hundred_thousand_flaps_leave_no_memory_no_work_and_the_right_state() -> Result<()> {
    let _turn = crate::turn();
    let lab = Lab::with_services(Topology::DEFAULT)?;
    // What asks the gateways is work by intention.
    lab.with_configuration("gateway-probe = 0\n", |prroute| {
        lab.meet_default_gateway()?;
        answered(&lab)?;
        // What its looks take is the machine's business: below 20 ms each on one, 50 on another.
        let looks = wait_idle(&prroute.daemon.process, IDLE / 10)?;
        let idle = 2 * looks + Duration::from_millis(40);
        let installed = routing(&lab)?;
        let (memory, before) =
            (peak_memory(&prroute.daemon.process)?, cpu_time(&prroute.daemon.process)?);

        // A foreign table, main, main's own links, and default routes nobody prefers.
        let flaps = [
            (50_000, "route add {}/32 via 10.0.2.1 table 200", "route del {}/32 table 200"),
            (10_000, "route add {}/32 via 10.0.2.1", "route del {}/32"),
            (5_000, "route add {}/32 dev up2", "route del {}/32 dev up2"),
            (
                5_000,
                "route add default via 10.0.3.1 dev up3 metric 9000",
                "route del default via 10.0.3.1 dev up3 metric 9000",
            ),
        ];
        for (pairs, add, delete) in flaps {
            flap(&lab, pairs, add, delete)?;
            wait_idle(&prroute.daemon.process, idle).with_context(|| add.to_owned())?;
            println!(
                "{pairs} times {add}: {:.1?} of CPU so far",
                cpu_time(&prroute.daemon.process)? - before
            );
        }
        let grown = peak_memory(&prroute.daemon.process)?.saturating_sub(memory);
        println!("{grown} bytes more than before");
        ensure!(grown < MEMORY, "{grown} bytes more than before");
        assert_eq!(routing(&lab)?, installed);
        answered(&lab)?;
        Ok(())
    })
}

/// What the kernel could not announce is found by looking, and what comes after it is heard.
#[test]
fn an_overrun_loses_nothing_of_what_happened_in_it_or_after_it() -> Result<()> {
    let _turn = crate::turn();
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let words = ["env", "PRROUTE_LOG=prroute=debug"].map(str::to_owned).to_vec();
    let life = lab.prroute()?.wrapped(words).while_running(|prroute| {
        lab.meet_default_gateway()?;
        prroute.daemon.process.signal(Signal::SIGSTOP)?;
        flap(&lab, 20_000, "route add {}/32 dev up2", "route del {}/32 dev up2")?;
        lab.host.ip("rule flush protocol 213")?;
        for address in ["10.0.2.77/24", "192.0.2.7/28"] {
            lab.host.ip(&format!("address add {address} dev up2"))?;
        }
        prroute.daemon.process.signal(Signal::SIGCONT)?;
        let has_rules = |source: &str| {
            wait::until("the address has its rules", PATIENCE, || {
                let rules = lab.host.ip("rule show")?;
                Ok(rules.contains(&format!("from {source} iif lo lookup 21002 ")).then_some(()))
            })
            .with_context(|| prroute.log())
        };
        has_rules("10.0.2.0/24")?;
        has_rules("192.0.2.0/28")?;
        ensure!(prroute.log().contains("lost netlink notifications"), "there was no overrun");
        lab.host.ip("address add 192.0.2.97/28 dev up2")?;
        has_rules("192.0.2.96/28")?;
        answered(&lab)
    });
    life.map(drop)
}
