//! `prroute status` on a healthy host, and `prroute wait`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::process::Process;
use prroute_tests::prroute::{Instance, START};
use prroute_tests::{probe, wait};
use serde_json::Value;

/// Time for two looks of a program that repeats them each second.
const LOOKS: Duration = Duration::from_secs(60);

#[test]
fn it_reads_at_eighty_columns_with_ages_of_the_gateways_answers() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_configuration("", |prroute| {
        let status = wait::until("all gateways have answered", START, || {
            let status = prroute.status()?;
            let uplinks = status["uplinks"].as_array().context("no uplinks")?;
            let answers =
                uplinks.iter().flat_map(|it| it["answers"].as_array().into_iter().flatten());
            let ages: Vec<_> = answers.map(|it| it["answered_seconds_ago"].as_f64()).collect();
            Ok((ages.len() == 6 && ages.iter().all(Option::is_some)).then_some(status))
        })?;
        ensure!(status["schema"] == "prroute.status/2" && status["health"] == "ok", "{status:#}");
        ensure!(status["uptime_seconds"].is_u64() && status["uplinks"][0]["mac"].is_string());
        let text = prroute.output(&["status"])?.success()?;
        let health = format!(" {}: ok, 3 of 3 uplinks answer, pid ", prroute.name());
        ensure!(text.lines().next().is_some_and(|line| line.contains(&health)), "{text}");
        ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let one = prroute.output(&["status", "-br"])?.success()?;
        assert_eq!(one, format!("{} ok up1:up up2:up up3:up\n", prroute.name()));
        let of_up2 = prroute.output(&["status", "dev", "up2"])?.success()?;
        ensure!(of_up2.contains("10.0.2.1") && !of_up2.contains("10.0.1.1"), "{of_up2}");
        ensure!(!prroute.output(&["status", "dev", "up9"])?.status.success(), "no such uplink");
        Ok(())
    })
}

/// Who waits finds replies steered, and is told what is missing when the time is over.
#[test]
fn wait_ends_when_replies_are_steered_and_tells_what_is_missing() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let nobody = prroute.output(&["wait", "--timeout", "200ms"])?;
    ensure!(nobody.status.code() == Some(3), "{nobody:?}");
    let daemon = prroute.start(&[])?;
    prroute.output(&["wait", "--timeout", "1m"])?.success()?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;

    let pid = daemon.process.pid();
    kill(pid, Signal::SIGSTOP).context("stop the daemon")?;
    lab.host.ip("route flush table 21002")?;
    let missing = prroute.output(&["wait", "--timeout", "1s"])?;
    kill(pid, Signal::SIGCONT).context("let the daemon go on")?;
    ensure!(missing.status.code() == Some(1), "{missing:?}");
    ensure!(missing.stderr.contains("missing in prroute's tables"), "{missing:?}");
    prroute.output(&["wait", "--timeout", "1m"])?.success()?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// From its lock on a daemon is starting, also the first one, of which there is no report yet.
#[test]
fn a_first_start_is_told_as_one() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.start(&[])?;
    let mut seen = Vec::new();
    wait::until("it is ready", START, || {
        let output = prroute.output(&["status", "-br"])?;
        let health = output.stdout.split_whitespace().nth(1).unwrap_or_default().to_owned();
        ensure!(!output.stderr.contains("cannot be read"), "{output:?} after {seen:?}");
        // None runs yet; it may be ready before a look has ended.
        ensure!(["", "starting", "ok"].contains(&health.as_str()), "{output:?} after {seen:?}");
        seen.push(health);
        Ok(seen.last().is_some_and(|health| health == "ok").then_some(()))
    })
    .with_context(|| format!("{seen:?}"))?;
    daemon.wait_ready()?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// The answer of the gateway of uplink 2.
fn gateway_of_up2(prroute: &Instance<'_>) -> Result<Value> {
    let status = prroute.status()?;
    let answers = status["uplinks"][1]["answers"].as_array().context("no answers")?;
    let is_it = |answer: &&Value| answer["gateway"] == "10.0.2.1";
    answers.iter().find(is_it).cloned().with_context(|| format!("{status:#}"))
}

/// Waits until it is told for how long the gateway has been silent.
fn silence(prroute: &Instance<'_>) -> Result<(f64, bool)> {
    wait::until("a silence with its length", START, || {
        let answer = gateway_of_up2(prroute)?;
        let lasts = answer["silent_seconds"].as_f64();
        Ok(lasts.zip(answer["silent_at_least"].as_bool()))
    })
}

#[test]
fn how_long_a_gateway_is_silent_is_told_as_far_as_the_daemon_saw_it() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let before = Instant::now();
    let daemon = prroute.run(&[])?;
    ensure!(gateway_of_up2(&prroute)?["silent_seconds"].is_null(), "it answers");
    let router = lab.router(2);
    router.fall_silent()?;
    let (first, at_least) = silence(&prroute)?;
    let watched = before.elapsed();
    ensure!(first < watched.as_secs_f64() && !at_least, "{first} of {watched:?}, {at_least}");
    let text = prroute.output(&["status"])?.stdout;
    ensure!(text.contains("(SILENT ") && !text.contains("(SILENT >"), "{text}");
    wait::until("it lasts longer", START, || {
        Ok((silence(&prroute)?.0 > first + 1.0).then_some(()))
    })?;
    daemon.kill()?;
    ensure!(gateway_of_up2(&prroute)?["silent_seconds"].is_null(), "nobody watches");
    let daemon = prroute.run(&[])?;
    let (anew, at_least) = silence(&prroute)?;
    ensure!(at_least, "a new daemon does not know since when: {anew}");
    router.answer_again()?;
    wait::until("it answers again", START, || {
        Ok(gateway_of_up2(&prroute)?["silent_seconds"].is_null().then_some(()))
    })?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// A look alone has no rates; who repeats it has them from the second one on.
#[test]
fn rates_are_shown_when_the_status_is_repeated() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let one = prroute.output(&["status"])?.success()?;
        ensure!(
            !one.contains("IN/s") && one.contains("* ") && one.contains("main's default route")
        );
        let mut watch = Process::spawn(&mut prroute.command(&["status", "-w", "1"])?)?;
        let second_look = |log: &str| {
            let (_, rates) = log.split_once("IN/s")?;
            let end = log.len() - rates.len() + rates.find("ago\n")? + "ago\n".len();
            Some(log[..end].to_owned())
        };
        let shown = watch.wait_log("the second look", LOOKS, second_look)?;
        watch.kill()?;
        let (first, second) = shown.split_once("\n\n").context("two looks")?;
        ensure!(!first.contains("IN/s") && second.contains("MOVED/s"), "{shown}");
        ensure!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        Ok(())
    })
}
