//! The daemon's socket: members of the group ask it what only root can ask the kernel, and nothing that
//! they do harms the daemon.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::process::Process;
use prroute_tests::prroute::{Instance, STOP, state};
use prroute_tests::{probe, prroute, scratch, wait};
use serde_json::Value;

/// The group that may ask.
const GROUP: &str = "61234";

/// An instance that a group may ask, with the unit's umask, and which everybody may run.
fn instance(lab: &Lab) -> Result<Instance<'_>> {
    let program = lab.scratch.path().join("prroute");
    scratch::install(&prroute::binary()?, &program)?;
    let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let prroute = lab.prroute()?.of_build(program).wrapped(umask.map(str::to_owned).to_vec());
    // As the unit does it.
    let directory = state(prroute.name()).display().to_string();
    command::run(&["install", "-d", "-g", GROUP, "-m", "2750", &directory])?;
    Ok(prroute)
}

fn path(prroute: &Instance<'_>) -> PathBuf {
    state(prroute.name()).join("socket")
}

/// The command as an ordinary user of these groups.
fn by_user(prroute: &Instance<'_>, groups: &str, words: &[&str]) -> Result<Command> {
    let groups = format!("--groups={groups}");
    let user = ["setpriv", "--reuid=65534", "--regid=65534", &groups, "--bounding-set=-all"];
    prroute.command_with(&user, words)
}

/// Runs it to its end.
fn ask(prroute: &Instance<'_>, groups: &str, words: &[&str]) -> Result<Output> {
    command::output_within(&mut by_user(prroute, groups, words)?, STOP, "")
}

/// Whether a daemon runs, as the metrics say it.
fn up(metrics: &str) -> Option<&str> {
    metrics.lines().find(|line| line.starts_with("prroute_up"))?.split(' ').nth(1)
}

/// What comes back of these bytes, to the end of the connection.
fn exchange(prroute: &Instance<'_>, request: &str) -> Result<String> {
    let mut stream = connect(prroute)?;
    // It may have been refused before it was written.
    drop(stream.write_all(request.as_bytes()));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error)?,
        _ => Ok(String::from_utf8(answer)?),
    }
}

fn connect(prroute: &Instance<'_>) -> Result<UnixStream> {
    let path = path(prroute);
    let stream = UnixStream::connect(&path).with_context(|| format!("connect {path:?}"))?;
    stream.set_read_timeout(Some(wait::patience(Duration::from_secs(60))))?;
    Ok(stream)
}

fn get(prroute: &Instance<'_>, target: &str) -> Result<String> {
    exchange(prroute, &format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

#[test]
fn members_of_the_group_see_what_root_sees_and_nobody_else_does() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = instance(&lab)?;
    let ask = |words: &[&str]| ask(&prroute, GROUP, words);
    let nobody = ask(&["status"])?;
    ensure!(nobody.status.code() == Some(3), "no daemon yet: {nobody:?}");
    let metrics = ask(&["metrics"])?;
    ensure!(up(&metrics.stdout) == Some("0"), "{metrics:?}");

    let daemon = prroute.run(&[])?;
    ask(&["wait", "--timeout", "1m"])?.success()?;
    let (theirs, ours) = (ask(&["status", "-br"])?, prroute.output(&["status", "-br"])?);
    ensure!(theirs.success()? == ours.success()?, "the same state");
    let json: Value = serde_json::from_str(&ask(&["status", "--json"])?.success()?)?;
    ensure!(json["schema"] == "prroute.status/2" && json["health"] == "ok", "{json:#}");
    let one = ask(&["status", "-d", "dev", "up2"])?.success()?;
    ensure!(one.contains("10.0.2.1") && !one.contains("10.0.1.1"), "{one}");
    ensure!(one.lines().all(|line| line.chars().count() <= 80), "{one}");
    let wrong = ask(&["status", "dev", "up9"])?;
    ensure!(wrong.stderr.contains("there is no interface \"up9\""), "{wrong:?}");
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    ensure!(ask(&["flows"])?.success()?.contains("PROTO"));
    let flows: Value = serde_json::from_str(&ask(&["flows", "--json"])?.success()?)?;
    ensure!(flows["flows"].is_array() && flows["left_out"] == 0, "{flows:#}");
    ensure!(up(&ask(&["metrics"])?.success()?) == Some("1"), "the daemon runs");

    let stranger = self::ask(&prroute, "65534", &["status"])?;
    ensure!(stranger.status.code() == Some(4), "{stranger:?}");
    ensure!(stranger.stderr.contains("group `prroute`"), "{stranger:?}");

    lab.host.ip("route flush table 21002")?;
    wait::until("the group is told what was put back", STOP, || {
        let events = ask(&["events", "--json"])?.success()?;
        let mut events = events.lines().map(serde_json::from_str::<Value>);
        let found =
            events.find(|it| it.as_ref().is_ok_and(|it| it["fields"]["event"] == "put-back"));
        Ok(found.transpose()?)
    })?;

    daemon.kill()?;
    let after = ask(&["status"])?;
    ensure!(after.status.code() == Some(3), "{after:?}");
    // What a killed daemon left is in nobody's way.
    let again = prroute.run(&[])?;
    ask(&["status"])?.success()?;
    again.terminate()?;
    ensure!(!path(&prroute).exists(), "a daemon that ends takes its socket along");
    prroute.down().map(drop)
}

#[test]
fn a_follower_hears_of_events_also_of_the_next_daemon() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = instance(&lab)?;
    let first = prroute.run(&[])?;
    let file = lab.scratch.path().join("events");
    let mut follow = prroute.command(&["events", "--follow"])?;
    let mut follow = follow.stdout(std::fs::File::create(&file)?).spawn()?;
    let said = |what: &str, times: usize| {
        wait::until(what, STOP, || {
            let text = std::fs::read_to_string(&file)?;
            Ok((text.matches("ready, ").count() >= times).then_some(()))
        })
    };
    let outcome = (|| {
        said("the first daemon is heard", 1)?;
        first.terminate()?;
        let second = prroute.run(&[])?;
        said("the second daemon is heard", 2)?;
        second.terminate()
    })();
    follow.kill()?;
    follow.wait()?;
    outcome?;
    prroute.down().map(drop)
}

/// A member of the group sends what it likes, and holds as many connections as it likes.
#[test]
fn no_request_harms_the_daemon() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = instance(&lab)?;
    let daemon = prroute.run(&[])?;
    let status = |target: &str| -> Result<String> {
        let answer = get(&prroute, target)?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    };
    for (target, code) in [
        ("/", "200"),
        ("/v1/ready", "200"),
        ("/metrics", "200"),
        ("/v1/status?dev=up2&brief=true", "200"),
        ("/v1/status?dev=up9", "400"),
        ("/v1/status?brief=yes", "400"),
        ("/v1/events?after=x", "400"),
        ("/v1/events?after=18446744073709551615&wait=0", "200"),
        ("/../../etc/passwd", "404"),
        ("*", "404"),
    ] {
        ensure!(status(target)? == code, "{target}: {}", get(&prroute, target)?);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = exchange(
            &prroute,
            &format!("{method} /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"),
        )?;
        ensure!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
    let long = "x".repeat(1 << 20);
    for nonsense in
        ["", "\0\u{1}\u{ff}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long, &format!("GET /{long}")]
    {
        let answer = exchange(&prroute, nonsense)?;
        ensure!(!answer.contains(" 200 "), "{answer}");
    }
    let headers = "x: y\r\n".repeat(1_000);
    let answer = exchange(&prroute, &format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n"))?;
    ensure!(!answer.contains(" 200 "), "{answer}");

    // More than are served at once say nothing: they are sent away in time, and the next is answered.
    let silent = (0..40).map(|_| connect(&prroute)).collect::<Result<Vec<_>>>()?;
    ensure!(status("/v1/ready")? == "200", "after those that say nothing");
    drop(silent);

    // Looking from within has not given up the lock: there is still one daemon at most.
    let another = prroute.output(&["run"])?;
    ensure!(another.stderr.contains("another prroute (pid "), "{another:?}");
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What a look finds odd is no event: who asks often would push out what happened.
#[test]
fn asking_leaves_no_trace_in_the_events() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let odd = ["sh", "-c", r#"ip link add name "$(printf '\351th3')" type bridge"#];
    lab.host.run(&odd)?;
    let prroute = instance(&lab)?;
    let daemon = prroute.run(&[])?;
    let last = || -> Result<Value> {
        let answer = get(&prroute, "/v1/events")?;
        let body = answer.split_once("\r\n\r\n").context("an answer has a body")?.1;
        let events: Value = serde_json::from_str(body)?;
        Ok(events["last"].clone())
    };
    // The programs of others that were started with it are seen by now.
    ask(&prroute, GROUP, &["wait", "--timeout", "1m"])?.success()?;
    let before = last()?;
    ensure!(before.as_u64() > Some(0), "{before}");
    for _ in 0..10 {
        for target in ["/v1/status", "/v1/ready", "/v1/flows", "/metrics"] {
            ensure!(get(&prroute, target)?.starts_with("HTTP/1.1 200"), "{target}");
        }
    }
    ensure!(last()? == before, "{before} events before, {} now", last()?);
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn a_daemon_that_hangs_is_told_from_one_that_does_not_run() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = instance(&lab)?;
    let daemon = prroute.run(&[])?;
    let pid = daemon.process.pid();
    kill(pid, Signal::SIGSTOP).context("stop the daemon")?;
    let (waits, status) =
        (ask(&prroute, GROUP, &["wait", "--timeout", "1s"]), ask(&prroute, GROUP, &["status"]));
    let of_root = [&["status"][..], &["doctor"], &["wait", "--timeout", "0s"], &["metrics"]]
        .map(|words| prroute.output(words));
    kill(pid, Signal::SIGCONT).context("let the daemon go on")?;
    let (waits, status) = (waits?, status?);
    let [seen, doctor, root_waits, metrics] = of_root;
    for output in [seen?, doctor?, root_waits?] {
        ensure!(output.status.code() == Some(1), "{output:?}");
        let said = format!("{}{}", output.stdout, output.stderr);
        ensure!(said.contains(&format!("the daemon (pid {pid}) is stopped")), "{output:?}");
    }
    let metrics = metrics?.success()?;
    let up = metrics.lines().find(|line| line.starts_with("prroute_up")).context("prroute_up")?;
    ensure!(up.ends_with(" 0"), "{metrics}");
    ensure!(metrics.contains("kind=\"daemon-hangs\""), "{metrics}");
    ensure!(
        waits.status.code() == Some(5) && status.status.code() == Some(5),
        "{waits:?} {status:?}"
    );
    ensure!(status.stderr.contains("the daemon hangs, or is stopped"), "{status:?}");
    ask(&prroute, GROUP, &["status"])?.success()?;
    std::fs::remove_file(path(&prroute)).context("remove the socket")?;
    let gone = ask(&prroute, GROUP, &["status"])?;
    ensure!(gone.status.code() == Some(5), "{gone:?}");
    ensure!(gone.stderr.contains(&format!("(pid {pid}) has no socket")), "{gone:?}");
    daemon.terminate()?;
    let ended = ask(&prroute, GROUP, &["status"])?;
    ensure!(ended.status.code() == Some(3), "{ended:?}");
    prroute.down().map(drop)
}

/// As Prometheus sees it, which waits ten seconds for an answer.
#[test]
fn an_exporter_says_in_time_that_a_daemon_does_not_answer() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = instance(&lab)?;
    let daemon = prroute.run(&[])?;
    let listens = ["metrics", "--listen", "127.0.0.1:9713"];
    let mut exporter = Process::spawn(&mut by_user(&prroute, GROUP, &listens)?)?;
    let url = "http://127.0.0.1:9713/metrics";
    let scrape = ["curl", "-sf", "--noproxy", "*", "-m", "10", url];
    let says = |value: &str| {
        wait::until(&format!("prroute_up {value}"), STOP, || {
            let page = lab.host.output(&scrape)?.stdout;
            Ok((up(&page) == Some(value)).then_some(()))
        })
    };
    says("1")?;
    let pid = daemon.process.pid();
    kill(pid, Signal::SIGSTOP).context("stop the daemon")?;
    let stopped = says("0");
    kill(pid, Signal::SIGCONT).context("let the daemon go on")?;
    stopped?;
    says("1")?;
    exporter.stop(Signal::SIGTERM, STOP)?;
    let log = exporter.finished_log(STOP)?;
    ensure!(log.matches("the daemon hangs, or is stopped").count() == 1, "{log}");
    daemon.terminate()?;
    prroute.down().map(drop)
}
