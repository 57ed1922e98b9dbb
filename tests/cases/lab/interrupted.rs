//! What the kernel or the disk refuses in the middle of a start, and what happens in the middle of one: it
//! is said, nothing is half-applied, and what an earlier daemon left goes on.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use prroute_tests::addressing::{self, Family};
use prroute_tests::attend::Verdict;
use prroute_tests::bpf::{self, Direction};
use prroute_tests::cgroup::Limited;
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::wait;

const TWO: Topology = Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT };

/// One step of a start, and what it fails with.
#[derive(Debug)]
struct Refusal {
    step: &'static str,
    number: usize,
    errno: Errno,
    /// A word of the error.
    named: &'static str,
}

const fn refusal(step: &'static str, number: usize, errno: Errno, named: &'static str) -> Refusal {
    Refusal { step, number, errno, named }
}

/// Without these there is no datapath.
const FATAL: [Refusal; 7] = [
    refusal("make directory /sys/fs/bpf/prroute/netns:", 1, Errno::EROFS, "/sys/fs/bpf/prroute"),
    refusal("create map FLOWS4", 1, Errno::ENOMEM, "FLOWS4"),
    refusal("pin FLOWS6", 1, Errno::ENOSPC, "FLOWS6"),
    refusal("create map FLOWS6", 1, Errno::E2BIG, "FLOWS6"),
    refusal("load program prroute_egress", 1, Errno::ENOMEM, "prroute_egress"),
    refusal("attach a program", 6, Errno::ENOMEM, "up1"),
    refusal("rename link-2-ingress", 1, Errno::EROFS, "link-2-ingress"),
];

fn refuse(refusal: &'static Refusal) -> impl FnMut(&str) -> Verdict + Send + 'static {
    let mut seen = 0;
    move |step| {
        let is_it = refusal.step.split(' ').all(|word| step.contains(word));
        seen += usize::from(is_it);
        if is_it && seen >= refusal.number { Verdict::Fail(refusal.errno) } else { Verdict::Go }
    }
}

fn expect_refused(output: &Output, steps: &[String], named: &str) -> Result<()> {
    let Output { status, stderr, .. } = output;
    ensure!(status.code() == Some(1), "{status}:\n{stderr}\n{}", steps.join("\n"));
    ensure!(stderr.contains(named), "nothing about {named:?} in {stderr}");
    Ok(())
}

#[test]
fn a_start_that_is_refused_halfway_says_what_and_leaves_nothing() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    for refusal in &FATAL {
        let refused = || {
            let (output, steps) = prroute.output_attended(&["run"], refuse(refusal))?;
            expect_refused(&output, &steps, refusal.named)?;
            lab.expect_unchanged_since(&before)
        };
        refused().with_context(|| format!("{refusal:?}"))?;
    }
    Ok(())
}

/// Its maps, programs, rules and files, and what they do.
#[test]
fn a_start_that_is_refused_halfway_leaves_an_earlier_datapath_at_work() -> Result<()> {
    const TAKEOVER: [Refusal; 4] = [
        refusal("load program prroute_ingress", 1, Errno::ENOMEM, "prroute_ingress"),
        refusal("load program prroute_egress", 1, Errno::ENOMEM, "prroute_egress"),
        refusal("replace a program", 2, Errno::ENOMEM, "up1"),
        refusal("write to a map", 2, Errno::ENOMEM, ""),
    ];
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.kill()?;
    let installed = lab.snapshot()?.of_network();
    for refusal in &TAKEOVER {
        let refused = || {
            let (output, steps) = prroute.output_attended(&["run"], refuse(refusal))?;
            expect_refused(&output, &steps, refusal.named)?;
            let changes = lab.snapshot()?.of_network().changes_since(&installed);
            ensure!(changes.is_empty(), "{changes}");
            probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)
        };
        refused().with_context(|| format!("{refusal:?}"))?;
    }
    prroute.run(&[])?.terminate()?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// Tables of 94 MB.
const LARGE: &str = "flows = 262144\n";

/// Enough for the program itself.
const LIMIT: u64 = 80 << 20;

#[test]
fn tables_that_a_memory_limit_forbids_are_an_error_and_the_datapath_before_goes_on() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let group = Limited::create(lab.name(), LIMIT)?;
    let limited = || lab.prroute()?.configured(LARGE).map(|it| it.wrapped(group.wrapper()));
    let Output { status, stderr, .. } = limited()?.output(&["run"])?;
    let said = "more than the memory that prroute may have (83.8 MB)";
    // Another start would fail likewise: systemd is not to try one.
    ensure!(status.code() == Some(78) && stderr.contains(said), "{status}:\n{stderr}");
    lab.expect_unchanged_since(&before)?;

    // Tables that are there already need no room. The kernel also charges what it needs to verify the
    // programs, and may kill a daemon that has no room for it.
    let prroute = lab.prroute()?.configured(LARGE)?;
    prroute.run(&[])?.kill()?;
    let second = limited()?;
    let mut daemon = second.start(&[])?;
    wait::until("the second daemon is ready or has ended", prroute::START, || {
        let is_ready = daemon.said()?.contains("READY=1");
        Ok((is_ready || daemon.process.check_running().is_err()).then_some(()))
    })?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    daemon.kill()?;
    std::mem::forget(second);
    prroute.run(&[])?.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

fn with_read_only_bpffs<'lab>(lab: &'lab Lab) -> Result<Instance<'lab>> {
    let script = "mount -o remount,bind,ro /sys/fs/bpf && exec \"$@\"";
    let words = ["unshare", "--mount", "--", "sh", "-c", script, "sh"];
    Ok(lab.prroute()?.wrapped(words.map(str::to_owned).to_vec()))
}

/// Removes the directory that a killed daemon left, and had locked, as another daemon of this machine does at its
/// start.
fn remove_lock_directory(lab: &Lab) -> Result<()> {
    let path = Path::new("/run/netns").join(lab.host.name());
    let inode = std::fs::metadata(&path).with_context(|| format!("{}", path.display()))?.ino();
    let of_host = format!("netns:{inode}-");
    for entry in std::fs::read_dir("/sys/fs/bpf/prroute").context("list what is pinned")? {
        let entry = entry.context("list what is pinned")?;
        if entry.file_name().to_string_lossy().starts_with(&of_host) {
            let removed = std::fs::remove_dir(entry.path());
            let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            ensure!(removed.as_ref().err().is_none_or(is_gone), "{entry:?}: {removed:?}");
        }
    }
    Ok(())
}

/// Without a datapath before, with that of a killed daemon, and with that of one whose lock is gone.
#[test]
fn a_read_only_bpffs_is_an_error_and_the_datapath_before_goes_on() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    for (killed, locked) in [(false, false), (true, true), (true, false)] {
        if killed {
            prroute.run(&[])?.kill()?;
        }
        if killed && !locked {
            remove_lock_directory(&lab)?;
        }
        let installed = lab.snapshot()?.of_kernel();
        let reader = with_read_only_bpffs(&lab)?;
        for words in [["run"], ["down"]] {
            let output = reader.output(&words)?;
            if !killed && words == ["down"] && output.status.success() {
                continue;
            }
            expect_refused(&output, &[], "Read-only file system")?;
            let changes = lab.snapshot()?.of_kernel().changes_since(&installed);
            ensure!(changes.is_empty(), "{words:?}: {changes}");
        }
        std::mem::forget(reader);
        if killed {
            probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
        }
    }
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// When the programs are attached to the second of three uplinks.
const ATTACHING: (&str, usize) = ("attach a program", 7);

/// `ip WORDS` on the host at that moment.
fn meanwhile(lab: &Lab, words: &str) -> impl FnMut(&str) -> Verdict + Send + 'static {
    let (words, namespace) = (words.to_owned(), lab.host.name().to_owned());
    let mut seen = 0;
    move |step| {
        seen += usize::from(step == ATTACHING.0);
        if step == ATTACHING.0 && seen == ATTACHING.1 {
            let mut ip = Command::new("sh");
            ip.args(["-c", &words.replace("ip ", &format!("ip -netns {namespace} "))]);
            let outcome = command::output(&mut ip).and_then(Output::success);
            if let Err(error) = outcome {
                eprintln!("{error:#}");
                return Verdict::Kill;
            }
        }
        Verdict::Go
    }
}

/// Over the other two uplinks everything is answered, and `down` leaves nothing.
#[test]
fn a_link_that_is_deleted_or_made_anew_while_programs_are_attached_keeps_no_other_from_it()
-> Result<()> {
    for words in [
        "ip link del up2",
        "ip link del up2; ip link add up2 type veth peer name other; ip link set up2 up",
    ] {
        let lab = Lab::with_services(Topology { uplinks: 3, ..TWO })?;
        let prroute = lab.prroute()?;
        let (mut daemon, attended) = prroute.start_attended(meanwhile(&lab, words))?;
        daemon.wait_ready().with_context(|| attended.steps().join("\n"))?;
        let of_second = |probe: &Probe| {
            let family = Family::of(probe.target);
            let (client, host) = (addressing::client(2, family), addressing::host(2, family));
            probe.source == client || probe.target == host
        };
        let mut probes = probe::to_everything(3);
        probes.retain(|probe| !of_second(probe));
        lab.expect_answered_within(Duration::from_secs(20), &probes)
            .with_context(|| format!("{words}:\n{}", daemon.process.log()))?;
        if words.contains("veth") {
            for direction in [Direction::Ingress, Direction::Egress] {
                ensure!(bpf::tcx_programs(&lab.host, "up2", direction)? == 0, "{direction:?}");
            }
        }
        daemon.terminate()?;
        prroute.down()?;
        ensure!(!lab.host.ip("rule show")?.contains("proto 213"), "rules are left");
    }
    Ok(())
}

/// Linux 6.2 and newer rename a link that is up.
#[test]
fn a_link_that_is_renamed_while_programs_are_attached_is_an_uplink_by_its_new_name() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 3, ..TWO })?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let (mut daemon, attended) =
        prroute.start_attended(meanwhile(&lab, "ip link set up2 name wan2"))?;
    daemon.wait_ready().with_context(|| attended.steps().join("\n"))?;
    lab.expect_answered_within(Duration::from_secs(20), &probe::to_everything(3))
        .with_context(|| daemon.process.log())?;
    daemon.terminate()?;
    lab.host.ip("link set wan2 name up2")?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// The first is in the middle of its start.
#[test]
fn of_two_daemons_that_start_at_once_one_is_refused() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let (is_held, held) = mpsc::channel();
    let (go_on, gone_on) = mpsc::channel::<()>();
    let mut waited = false;
    let (mut daemon, _attended) = prroute.start_attended(move |step| {
        if step == "load program prroute_ingress" && !waited {
            waited = true;
            // Errors once the case has ended.
            is_held.send(()).ok();
            gone_on.recv().ok();
        }
        Verdict::Go
    })?;
    held.recv_timeout(Duration::from_secs(120)).context("wait for the first daemon")?;
    expect_refused(&prroute.output(&["run"])?, &[], "another prroute")?;
    go_on.send(()).context("let the first daemon go on")?;
    daemon.wait_ready()?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// What happens while it is stopped it follows afterwards; everything is answered all the while.
#[test]
fn a_daemon_that_was_stopped_follows_what_has_happened_meanwhile() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let process = &prroute.daemon.process;
        process.signal(nix::sys::signal::Signal::SIGSTOP)?;
        let mut batch = String::new();
        for number in 1..=200 {
            batch += &format!("address add 10.0.2.{number}/24 dev up2 noprefixroute\n");
            batch += &format!("route add 192.0.2.{number} via 10.0.1.1\n");
        }
        for number in 20..=200 {
            batch += &format!("address del 10.0.2.{number}/24 dev up2\n");
        }
        lab.host
            .ip_batch(&batch.replace("address add 10.0.2.10/24 dev up2 noprefixroute\n", ""))?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?).context("stopped")?;
        process.signal(nix::sys::signal::Signal::SIGCONT)?;
        wait::until("nothing is left to change", Duration::from_secs(30), || {
            Ok(prroute.output(&["plan"])?.stdout.contains("# nothing to change").then_some(()))
        })?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)
    })
}
