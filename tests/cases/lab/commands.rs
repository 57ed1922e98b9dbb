//! Commands that look and change nothing.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::scratch::Scratch;
use prroute_tests::{netns, prroute, wait};
use serde_json::Value;

/// A copy of prroute that everybody may run, and a place for files.
struct Anybody {
    scratch: Scratch,
    program: PathBuf,
}

impl Anybody {
    fn new() -> Result<Self> {
        let scratch = Scratch::create(&netns::unique_name(), false)?;
        let program = scratch.path().join("prroute");
        // By another process: a file that a fork of this one has open for writing cannot be run.
        let (from, to) = (prroute::binary()?, program.display().to_string());
        command::run(&["cp", &from.display().to_string(), &to])?;
        Ok(Self { scratch, program })
    }

    /// Runs it as an ordinary user without a network.
    fn run(&self, words: &[&str]) -> Result<Output> {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let program = self.program.display().to_string();
        let argv = [&["unshare", "--net"][..], &nobody, &[&program], words].concat();
        command::output(&mut command::command(&argv)?)
    }

    /// Checks a configuration, as a validation step does.
    fn check(&self, text: &str, options: &[&str]) -> Result<Output> {
        let file = self.scratch.write("new.toml", text)?.display().to_string();
        self.run(&[&["check"], options, &[file.as_str()]].concat())
    }
}

#[test]
fn a_configuration_is_checked_without_root_and_without_a_network() -> Result<()> {
    let anybody = Anybody::new()?;
    let good = anybody.check("[[uplink]]\nname = \"eth0\"\n", &["--offline"])?;
    ensure!(good.stdout == "the configuration is valid\n" && good.stderr.is_empty(), "{good:?}");
    good.success()?;

    let bad = anybody
        .check("flows = 4096\n[[uplink]]\nname = \"eth0\"\nreplay = \"off\"\n", &["--offline"])?;
    ensure!(bad.status.code() == Some(78) && bad.stdout.is_empty(), "{bad:?}");
    let complaint = "new.toml:4: replay: unknown key `replay`, did you mean `reply`?";
    ensure!(bad.stderr.contains(complaint), "{}", bad.stderr);

    let bad = anybody.check("\nflows = 7\n", &["--offline", "--json"])?;
    ensure!(bad.status.code() == Some(78), "{bad:?}");
    let report: Value = serde_json::from_str(&bad.stdout)?;
    ensure!(report["valid"] == false && report["error"]["line"] == 2, "{report:#}");
    ensure!(report["error"]["key"] == "flows", "{report:#}");

    let worse = anybody.check("flows = \"7\"\nattach = \"tc\"\n", &["--offline", "--json"])?;
    let report: Value = serde_json::from_str(&worse.stdout)?;
    ensure!(report["error"] == report["errors"][0], "{report:#}");
    ensure!(report["errors"][1]["line"] == 2 && report["errors"][2].is_null(), "{report:#}");

    // With a look at the host, which has no such interface.
    let odd = anybody.check("[[uplink]]\nname = \"eth7\"\n", &[])?;
    ensure!(
        odd.stderr.contains("warning: [[uplink]] eth7 has no effect: no interface matches it"),
        "{odd:?}"
    );
    ensure!(odd.stderr.contains("warning: no uplink is found on this host"), "{odd:?}");
    odd.success()?;
    Ok(())
}

#[test]
fn a_configuration_is_checked_before_it_is_a_file() -> Result<()> {
    let program = prroute::binary()?.display().to_string();
    let check = |text: &str| {
        let words = ["sh", "-c", "printf %s \"$1\" | \"$0\" check --offline -", &program, text];
        command::output(&mut command::command(&words)?)
    };
    check("flows = 4096\n")?.success()?;
    let bad = check("\nflows = 7\nattach = \"tc\"\n")?;
    ensure!(bad.status.code() == Some(78), "{bad:?}");
    for complaint in
        ["standard input:2: flows: 7 is not between", "standard input:3: attach: unknown value"]
    {
        ensure!(bad.stderr.contains(complaint), "{bad:?}");
    }
    Ok(())
}

#[test]
fn the_generated_configuration_is_valid() -> Result<()> {
    let anybody = Anybody::new()?;
    let sample = anybody.run(&["generate-config"])?.success()?;
    ensure!(sample.contains("rule-priority = 21000"), "{sample}");
    anybody.check(&sample, &["--offline"])?.success()?;
    let schema: Value = serde_json::from_str(&anybody.run(&["schema", "config"])?.success()?)?;
    ensure!(schema["properties"]["table"]["default"] == 21_000, "{schema:#}");
    Ok(())
}

#[test]
fn setup_shows_what_it_would_write() -> Result<()> {
    let shown = Anybody::new()?.run(&["setup", "networkd", "--dry-run"])?.success()?;
    for line in ["networkd.conf.d/", "[Network]", "ManageForeignRoutingPolicyRules=no"] {
        ensure!(shown.contains(line), "{shown}");
    }
    Ok(())
}

/// A pipe that nobody reads any more.
fn closed_pipe() -> Result<Stdio> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    drop(reader);
    Ok(writer.into())
}

fn full_disk() -> Result<Stdio> {
    Ok(File::options().write(true).open("/dev/full").context("open /dev/full")?.into())
}

/// Runs a command to its end with another standard output; what it said on standard error.
fn with_stdout(mut command: Command, stdout: Stdio) -> Result<(ExitStatus, String)> {
    let output = command.stdout(stdout).stderr(Stdio::piped()).output().context("run")?;
    Ok((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// As other programs: by SIGPIPE, without a word.
#[test]
fn a_closed_pipe_ends_every_command_quietly_and_a_full_disk_is_an_error() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let binary = prroute::binary()?;
    let own = |words: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(words);
        command
    };
    let check = |name: &str, command: &dyn Fn() -> Result<Command>| -> Result<()> {
        let (status, said) = with_stdout(command()?, closed_pipe()?)?;
        ensure!(
            status.signal() == Some(Signal::SIGPIPE as i32) && said.is_empty(),
            "{name} into a closed pipe: {status}, {said}"
        );
        let (status, said) = with_stdout(command()?, full_disk()?)?;
        let complaint = "prroute: write to standard output: No space left on device (os error 28)";
        ensure!(
            status.code() == Some(1) && said.trim_end() == complaint,
            "{name} onto a full disk: {status}, {said}"
        );
        Ok(())
    };
    let words: [&[&str]; 8] = [
        &["generate-config"],
        &["schema", "config"],
        &["setup", "networkd", "--dry-run"],
        &["check", "--offline"],
        &["check", "--offline", "--json"],
        &["--help"],
        &["flows", "--help"],
        &["--version"],
    ];
    for words in words {
        check(&words.join(" "), &|| Ok(own(words)))?;
    }
    let words: [&[&str]; 9] = [
        &["status"],
        &["status", "--json"],
        &["metrics"],
        &["flows"],
        &["flows", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["run", "--dry-run"],
        &["reload"],
    ];
    for words in words {
        check(&words.join(" "), &|| prroute.command(words))?;
    }
    daemon.terminate()?;
    check("down", &|| prroute.command(&["down"]))
}

/// Where standard error is gone there is nobody to tell; the exit code tells all the same.
#[test]
fn without_standard_error_commands_and_the_daemon_do_their_work() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    for stderr in [closed_pipe, full_disk] {
        for (words, code) in [(&["status"][..], 3), (&["no-such-command"], 2)] {
            let status = prroute.command(words)?.stderr(stderr()?).status().context("run")?;
            ensure!(status.code() == Some(code), "{words:?}: {status}");
        }
        let mut daemon = prroute.command(&["run"])?.stderr(stderr()?).spawn().context("start")?;
        let managed = wait::until("two uplinks managed", prroute::START, || {
            Ok(prroute.status().is_ok_and(|status| status["uplinks"][1].is_object()).then_some(()))
        });
        kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM)?;
        let ended = daemon.wait().context("wait for the daemon")?;
        managed?;
        ensure!(ended.success(), "the daemon: {ended}");
        prroute.down()?;
    }
    Ok(())
}
