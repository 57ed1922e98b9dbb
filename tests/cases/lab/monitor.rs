//! `prroute monitor`: the running programs tell what they do with packets, for as long as somebody asks.

mod end;

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::command;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Instance, STOP, pins};
use prroute_tests::{socket, wait};
use serde_json::Value;

const PORT: u16 = 7007;

/// A monitor that runs; killed when dropped.
struct Monitor {
    child: Child,
    shown: PathBuf,
    said: PathBuf,
}

impl Monitor {
    /// Starts, and waits until the programs are asked.
    fn start(lab: &Lab, prroute: &Instance<'_>, name: &str, words: &[&str]) -> Result<Self> {
        let (shown, said) =
            (lab.scratch.path().join(name), lab.scratch.path().join(format!("{name}.err")));
        let words: Vec<_> = ["monitor"].iter().chain(words).copied().collect();
        let mut command = prroute.command(&words)?;
        let child = command.stdout(File::create(&shown)?).stderr(File::create(&said)?).spawn()?;
        let mut monitor = Self { child, shown, said };
        wait::until("it watches", STOP, || {
            ensure!(monitor.child.try_wait()?.is_none(), "it ended: {}", monitor.said()?);
            Ok(monitor.said()?.contains("watching").then_some(()))
        })?;
        ensure!(is_asked(prroute)?);
        // A second one is told so.
        let other = prroute.output(&["monitor", "flow", "for", "1ms"])?;
        ensure!(other.stderr.contains("another `prroute monitor`"), "{other:?}");
        Ok(monitor)
    }

    fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.said)?)
    }

    fn lines(&self) -> Result<Vec<String>> {
        Ok(std::fs::read_to_string(&self.shown)?.lines().map(str::to_owned).collect())
    }

    fn objects(&self) -> Result<Vec<Value>> {
        // The last one may be half-written.
        Ok(self.lines()?.iter().map_while(|line| serde_json::from_str(line).ok()).collect())
    }

    fn wait_lines(&self, what: &str, enough: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        wait::until(what, STOP, || {
            let lines = self.lines()?;
            Ok(enough(&lines).then_some(lines))
        })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Ends it as a terminal does; what it said.
    fn interrupt(mut self) -> Result<String> {
        self.signal(Signal::SIGINT)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.said()?);
        self.said()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether somebody asks, by the first word of the filter.
fn is_asked(prroute: &Instance<'_>) -> Result<bool> {
    let mut filter = None;
    for layout in std::fs::read_dir(pins(prroute.name()))? {
        let pin = layout?.path().join("TRACE_FILTER");
        if pin.exists() {
            filter = Some(pin.display().to_string());
        }
    }
    let filter = filter.context("a pinned filter")?;
    let dump = command::run(&["bpftool", "-j", "map", "dump", "pinned", &filter])?;
    let dump: Value = serde_json::from_str(&dump)?;
    let until = dump[0]["value"].as_array().context("the filter's bytes")?;
    Ok(until.iter().take(4).any(|byte| byte != "0x00"))
}

fn target(family: Family) -> SocketAddr {
    SocketAddr::new(addressing::shared(family), PORT)
}

fn lab() -> Result<(Lab, Echo)> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    Ok((lab, echo))
}

/// Of a line of tcpdump.
fn captured_flags(line: &str) -> &str {
    line.split_once("Flags [").and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default()
}

/// What the capture has and what is shown: the direction, seen from the host, and the flags.
fn sorted(mut all: Vec<(bool, String)>) -> Vec<(bool, String)> {
    all.sort();
    all
}

#[test]
fn each_packet_of_a_connection_is_shown_once_for_each_hook() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    for family in Family::BOTH {
        let (source, target) = (addressing::client(2, family), target(family));
        let host = source.to_string();
        let monitor = Monitor::start(
            &lab,
            &prroute,
            &format!("shown-{family:?}"),
            &["packet", "host", &host, "port", &PORT.to_string(), "-j"],
        )?;
        let filter = format!("tcp port {PORT}");
        let came = Capture::start(&lab.host, "up2", "in", &filter)?;
        let left = Capture::start(&lab.host, "up2", "out", &filter)?;
        let mut stream = socket::tcp(&lab.client, source, target.ip(), PORT)?;
        for _ in 0..5 {
            echo::tcp_round(&mut stream, 64)?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        ensure!(stream.read(&mut [0])? == 0, "the server closes too");
        drop(stream);
        // The last segment is the client's acknowledgement of the server's end.
        let is_end = |object: &Value| object["flags"] == "F." && object["direction"] == "out";
        wait::until("the end of the connection is shown", STOP, || {
            let objects = monitor.objects()?;
            let end = objects.iter().position(is_end);
            let after = end.map(|end| objects[end..].iter().any(|it| it["direction"] == "in"));
            Ok((after == Some(true)).then_some(()))
        })?;
        let flags = |lines: Vec<String>, came_in: bool| {
            lines.into_iter().map(move |line| (came_in, captured_flags(&line).to_owned()))
        };
        let there: Vec<_> = flags(came.stop()?, true).chain(flags(left.stop()?, false)).collect();
        let objects = monitor.objects()?;
        let shown = objects.iter().map(|object| {
            let flags = object["flags"].as_str().unwrap_or_default().to_owned();
            (object["direction"] == "in", flags)
        });
        // tcpdump and prroute write the same letters in different orders.
        let letters = |(came_in, flags): (bool, String)| {
            let mut letters: Vec<_> = flags.chars().collect();
            letters.sort_unstable();
            (came_in, letters.into_iter().collect::<String>())
        };
        let shown = sorted(shown.map(letters).collect());
        ensure!(shown == sorted(there.into_iter().map(letters).collect()), "{objects:#?}");
        for object in &objects {
            ensure!(object["schema"] == "prroute.event/1" && object["kind"] == "packet");
            let is_in = object["direction"] == "in";
            ensure!(object["dev"] == if is_in { "up2" } else { "up1" }, "{object}");
            let verdict = if is_in { "passed" } else { "moved" };
            ensure!(object["verdict"] == verdict, "{object}");
            ensure!(is_in || object["uplink"] == "up2", "{object}");
        }
        let said = monitor.interrupt()?;
        ensure!(!said.contains("more were not shown"), "{said}");
    }
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What was asked for by one that was killed is over soon: the next one may ask.
#[test]
fn a_filter_goes_with_its_reader() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let mut monitor = Monitor::start(&lab, &prroute, "killed", &["packet", "port", "7007"])?;
    monitor.signal(Signal::SIGKILL)?;
    monitor.child.wait()?;
    wait::until("the next one may ask", STOP, || {
        let next = prroute.output(&["monitor", "flow", "for", "1ms"])?;
        Ok(next.status.success().then_some(()))
    })?;
    ensure!(!is_asked(&prroute)?, "one that ended by itself leaves nothing at all");
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn flows_are_shown_when_they_open_and_when_they_are_confirmed() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let (source, to) = (addressing::client(2, Family::V4), target(Family::V4));
    let monitor = Monitor::start(&lab, &prroute, "flow", &["flow", "remote", &source.to_string()])?;
    let mut stream = socket::tcp(&lab.client, source, to.ip(), PORT)?;
    for _ in 0..20 {
        echo::tcp_round(&mut stream, 64)?;
    }
    let lines = monitor.wait_lines("the flow is confirmed", |lines| lines.len() >= 2)?;
    ensure!(lines[0].ends_with("S  record"), "{lines:#?}");
    ensure!(lines[1].contains("confirm"), "{lines:#?}");
    let said = monitor.interrupt()?;
    ensure!(said.contains("2 shown"), "the packets after that change nothing: {said}");
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn conditions_choose_packets_and_count_ends_it() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let (by_first, by_second) =
        (addressing::client(1, Family::V4), addressing::client(2, Family::V4));
    let moved = ["packet", "udp", "dev", "up2", "verdict", "moved", "count", "3"];
    let mut monitor = Monitor::start(&lab, &prroute, "moved", &moved)?;
    let to = target(Family::V4);
    wait::until("three moved replies are shown", STOP, || {
        for source in [by_first, by_second] {
            let client = socket::udp(&lab.client, source, 0)?;
            ensure!(echo::udp_round(&client, to, 64)?, "no echo for {source}");
        }
        Ok(monitor.child.try_wait()?)
    })?;
    let lines = monitor.lines()?;
    ensure!(lines.len() == 3, "{lines:#?}");
    let second = format!("> {by_second}:");
    ensure!(
        lines.iter().all(|line| line.contains("out up1 udp") && line.contains(&second)),
        "{lines:#?}"
    );
    for words in [&["monitor", "packet", "dev", "up9"][..], &["monitor", "dev", "up9"]] {
        let error = prroute.output(words)?;
        ensure!(error.stderr.contains("up9 is no uplink; those that are: up1, up2"), "{error:?}");
    }
    let error = prroute.output(&["monitor", "host", "203.0.113.11", "tcp"])?;
    ensure!(error.status.code() == Some(2), "{error:?}");
    ensure!(error.stderr.contains("`monitor packet host ..`"), "{error:?}");
    let error = prroute.output(&["monitor", "packet"])?;
    ensure!(error.status.code() == Some(2), "{error:?}");
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn more_than_can_be_read_is_counted_and_not_shown() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let client = socket::udp(&lab.client, addressing::client(2, Family::V4), 0)?;
    let to = target(Family::V4);
    for (name, form) in [("flood", &[][..]), ("flood-json", &["--json"])] {
        let words = [&["packet", "udp", "port", "7007"][..], form].concat();
        let monitor = Monitor::start(&lab, &prroute, name, &words)?;
        // The flood before may have used up what the programs report in the same second.
        wait::until("some of them are shown", STOP, || {
            for _ in 0..6_000 {
                client.send_to(&[0; 16], to)?;
            }
            Ok((monitor.lines()?.len() >= 100).then_some(()))
        })?;
        let said = monitor.interrupt()?;
        ensure!(said.contains("more were not shown (at most 1000 in a second)"), "{name}: {said}");
    }
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// Wireshark's own reader has the packets, and what became of each.
#[test]
fn packets_are_written_for_tshark() -> Result<()> {
    let (lab, _echo) = lab()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let file = lab.scratch.path().join("packets.pcapng").display().to_string();
    let words = ["packet", "tcp", "port", "7007", "-w", &file];
    let monitor = Monitor::start(&lab, &prroute, "written", &words)?;
    let (source, to) = (addressing::client(2, Family::V4), target(Family::V4));
    let mut stream = socket::tcp(&lab.client, source, to.ip(), PORT)?;
    echo::tcp_round(&mut stream, 64)?;
    let read = || {
        let fields = ["frame.comment", "frame.interface_name", "ip.src", "tcp.flags.str"];
        let fields = fields.iter().flat_map(|field| ["-e", field]);
        let words = ["tshark", "-r", &file, "-T", "fields"].into_iter().chain(fields);
        command::run(&words.collect::<Vec<_>>())
    };
    let is_there = |text: &str| {
        let moved = |line: &str| {
            line.starts_with("MOVED to up2\tup1\t") && line.contains(&to.ip().to_string())
        };
        text.lines().any(moved) && text.lines().any(|line| line.starts_with("record\tup2\t"))
    };
    wait::until("tshark reads the packets", STOP, || {
        // What is written a second before may be half a packet.
        let text = command::output(&mut command::command(&["tshark", "-r", &file])?)?;
        Ok((text.status.success() && is_there(&read()?)).then_some(()))
    })?;
    monitor.interrupt()?;
    ensure!(is_there(&read()?), "{}", read()?);
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn what_happens_to_uplinks_and_what_is_put_back_is_shown() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.configured("attach = \"clsact\"\n")?;
    let daemon = prroute.run(&[])?;
    let (shown, said) = (lab.scratch.path().join("events"), lab.scratch.path().join("said"));
    let mut command = prroute.command(&["monitor", "-ts"])?;
    let child = command.stdout(File::create(&shown)?).stderr(File::create(&said)?).spawn()?;
    let monitor = Monitor { child, shown, said };
    wait::until("it watches", STOP, || Ok(monitor.said()?.contains("watching").then_some(())))?;
    let file = lab.scratch.path().join("of-up1");
    let mut command = prroute.command(&["monitor", "heal", "dev", "up1"])?;
    let (shown, said) = (file.clone(), file.with_extension("err"));
    let child = command.stdout(File::create(&shown)?).stderr(File::create(&said)?).spawn()?;
    let of_up1 = Monitor { child, shown, said };
    wait::until("it watches", STOP, || Ok(of_up1.said()?.contains("watching").then_some(())))?;
    lab.host.run(&["tc", "filter", "del", "dev", "up1", "egress"])?;
    let is_up1 = |line: &String| line.contains("missing, and put back: up1: ");
    of_up1.wait_lines("what is up1's is shown to who asks for it", |lines| {
        lines.iter().any(is_up1)
    })?;
    lab.host.ip("route flush table 21002")?;
    of_up1.wait_lines("what is about no single uplink may be about up1", |lines| {
        lines.iter().any(|line| line.contains("putting back"))
    })?;
    let lines = monitor.wait_lines("what was flushed is shown as put back", |lines| {
        lines.iter().any(|line| line.contains("putting back"))
    })?;
    ensure!(lines.iter().all(|line| line.starts_with("20")), "with the date: {lines:#?}");
    lab.host.ip("link set up2 down")?;
    monitor.wait_lines("an uplink that is none any more is shown", |lines| {
        lines.iter().any(|line| line.contains("up2: no longer an uplink"))
    })?;
    drop(monitor);
    daemon.terminate()?;
    prroute.down().map(drop)
}
