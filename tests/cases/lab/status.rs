//! `prroute status` on a healthy host, and `prroute wait`.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::START;
use prroute_tests::{probe, wait};

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
