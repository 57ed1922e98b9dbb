//! Commands that look and change nothing.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::scratch::Scratch;
use prroute_tests::{netns, prroute};
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
        std::fs::copy(prroute::binary()?, &program).context("copy prroute")?;
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

    // With a look at the host, which has no such interface.
    let odd = anybody.check("[[uplink]]\nname = \"eth7\"\n", &[])?;
    ensure!(odd.stderr.contains("warning: [[uplink]] eth7 matches no interface"), "{odd:?}");
    odd.success()?;
    Ok(())
}

#[test]
fn the_generated_configuration_is_valid() -> Result<()> {
    let anybody = Anybody::new()?;
    let sample = anybody.run(&["generate-config"])?.success()?;
    ensure!(sample.contains("rule-priority = 21000"), "{sample}");
    anybody.check(&sample, &["--offline"])?.success()?;
    let schema: Value = serde_json::from_str(&anybody.run(&["schema", "config"])?.success()?)?;
    ensure!(schema["properties"]["flows"]["default"] == 262_144, "{schema:#}");
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

/// What the plan prints is a shell script, and its reasons are comments.
#[test]
fn a_plan_says_what_would_change_and_why() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let before = lab.snapshot()?;
    let plan = prroute.output(&["plan"])?.success()?;
    let json: Value = serde_json::from_str(&prroute.output(&["plan", "--json"])?.success()?)?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty(), "{changes}");

    let reason = "  # what has a source address of up2 leaves by it\n";
    ensure!(plan.contains(reason), "{plan}");
    let operations = json["operations"].as_array().context("operations")?;
    ensure!(operations.len() > 10 && json["attach"][1] == "up2", "{json:#}");
    for operation in operations {
        let (command, reason) = (&operation["command"], &operation["reason"]);
        let words = (command.as_str().context("command")?, reason.as_str().context("reason")?);
        ensure!(plan.contains(&format!("{}  # {}\n", words.0, words.1)), "{operation:#}");
    }

    // A running daemon has nothing left to do.
    let daemon = prroute.run(&[])?;
    let rest = prroute.output(&["plan"])?.success()?;
    ensure!(rest.contains("# nothing to change"), "{rest}");
    daemon.terminate()?;
    prroute.down()?;

    // The script does the same as the daemon.
    let script = lab.scratch.write("plan.sh", &plan)?;
    let mut shell: Command = lab.host.command(&["sh", "-e", &script.display().to_string()]);
    command::output(&mut shell)?.success()?;
    let rest = prroute.output(&["plan"])?.success()?;
    ensure!(!rest.contains("ip rule") && !rest.contains("ip route"), "{rest}");
    Ok(())
}
