//! The module of `contrib`, applied by Puppet itself: what it has done to the file and has the service do. The package
//! and the service's start it does not make here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::{self, Output};
use prroute_tests::scratch::{self, Scratch};
use prroute_tests::{mounts, netns, prroute};

use crate::blocks::blocks;

/// Puppet takes seconds to start.
const DEADLINE: Duration = Duration::from_secs(240);

const WRITTEN: &str = "\
# Written by Puppet, which undoes what is changed here.

[[uplink]]
mac = \"02:00:5e:10:00:01\"

[[uplink]]
mac = \"02:00:5e:10:00:02\"
to = [\"192.0.2.14\"]
";

/// Writes down what it is asked for.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >> @ASKED@\n";

const RELOAD: &str = "reload prroute.service\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))
}

/// The manifest of a page.
fn manifest(page: &str) -> Result<String> {
    let block = blocks(&read(page)?).into_iter().find(|block| block.language == "puppet");
    Ok(block.with_context(|| format!("{page} has no manifest"))?.text)
}

/// Where Puppet writes to an /etc of its own, and finds the prroute under test.
struct Host {
    scratch: Scratch,
}

impl Host {
    fn new() -> Result<Self> {
        let host = Self { scratch: Scratch::create(&netns::unique_name(), false)? };
        let etc = host.etc();
        // Programs may be links that lead through it.
        command::run(&["cp", "-a", "/etc/.", &format!("{}/", etc.display())])?;
        command::run(&["rm", "-rf", &etc.join("prroute").display().to_string()])?;
        scratch::install(&prroute::binary()?, &host.scratch.path().join("bin/prroute"))?;
        let text = SYSTEMCTL.replace("@ASKED@", &host.asked().display().to_string());
        let systemctl = host.scratch.write("systemctl", &text)?;
        scratch::install(&systemctl, &host.scratch.path().join("bin/systemctl"))?;
        Ok(host)
    }

    /// Each line is a call of systemctl.
    fn asked(&self) -> PathBuf {
        self.scratch.path().join("asked")
    }

    fn asked_of_systemd(&self) -> Result<String> {
        std::fs::read_to_string(self.asked()).context("nothing was asked of systemd")
    }

    fn etc(&self) -> PathBuf {
        self.scratch.path().join("etc")
    }

    /// The file that Puppet writes.
    fn configuration(&self) -> Result<Option<String>> {
        let path = self.etc().join("prroute/prroute.toml");
        if !path.exists() {
            return Ok(None);
        }
        std::fs::read_to_string(&path).map(Some).with_context(|| format!("read {}", path.display()))
    }

    fn puppet(&self, words: &[&str]) -> Result<Output> {
        let etc = self.etc();
        let mut line = mounts::wrapper(&[(&etc, "/etc")])?;
        line.extend(["puppet".to_owned()]);
        line.extend(words.iter().map(|word| (*word).to_owned()));
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut puppet = command::command(&line)?;
        let path = std::env::var("PATH").context("PATH")?;
        let bin = self.scratch.path().join("bin");
        puppet.env("PATH", format!("{}:{path}", bin.display())).env("HOME", self.scratch.path());
        command::output_within(&mut puppet, DEADLINE, "")
    }

    /// Applies a manifest; what was done is in the exit code.
    fn apply(&self, manifest: &str, options: &[&str]) -> Result<Output> {
        let below = |name: &str| self.scratch.path().join(name).display().to_string();
        let manifest = self.scratch.write("site.pp", manifest)?.display().to_string();
        let modules = root().join("contrib/puppet").display().to_string();
        let (state, log, run) = (below("state"), below("log"), below("run"));
        let own = ["--vardir", &state, "--logdir", &log, "--rundir", &run];
        let words = ["apply", "--color=false", "--detailed-exitcodes", "--modulepath", &modules];
        self.puppet(&[&words[..], &own, options, &[&manifest]].concat())
    }
}

fn expect_exit(output: &Output, code: i32) -> Result<()> {
    let Output { command, status, stdout, stderr } = output;
    ensure!(status.code() == Some(code), "{command}: {status}\n{stdout}{stderr}");
    Ok(())
}

/// A service that runs already, without systemd.
const RUNNING: &str = "Service <| title == 'prroute' |> { provider => 'base', status => 'true' }\n";

#[test]
fn puppet_writes_the_configuration_once_and_refuses_one_with_a_mistake() -> Result<()> {
    const CHANGED: i32 = 2;
    const FAILED: i32 = 4;
    let shown = manifest("contrib/puppet/README.md")?;
    ensure!(shown == manifest("docs/quick-starts/vpc.md")?, "the pages show two manifests");
    let class = "class { 'prroute':\n";
    ensure!(shown.starts_with(class), "{shown}");
    let manifest = shown.replace(class, &format!("{class}  manage_package => false,\n")) + RUNNING;

    let host = Host::new()?;
    let module = root().join("contrib/puppet/prroute").display().to_string();
    host.puppet(&["parser", "validate", &module])?.success()?;

    // All of it, as it stands in the page.
    let dry = host.apply(&shown, &["--noop"])?;
    expect_exit(&dry, 0)?;
    let would_write = "/ensure: current_value 'absent', should be 'file' (noop)";
    ensure!(dry.stdout.contains(would_write), "{dry:?}");
    ensure!(host.configuration()?.is_none(), "a dry run writes");

    expect_exit(&host.apply(&manifest, &[])?, CHANGED)?;
    let written = host.configuration()?;
    ensure!(written.as_deref() == Some(WRITTEN), "{written:?}");
    expect_exit(&host.apply(&manifest, &[])?, 0)?;
    ensure!(host.asked_of_systemd()? == RELOAD, "{}", host.asked_of_systemd()?);

    let mistaken = manifest.replace("'to' =>", "'two' =>");
    let refused = host.apply(&mistaken, &[])?;
    expect_exit(&refused, FAILED)?;
    let said = refused.stdout + &refused.stderr;
    ensure!(said.contains("two: unknown key `two`"), "{said}");
    ensure!(host.configuration()? == written, "the old file is gone");
    ensure!(host.asked_of_systemd()? == RELOAD, "a file that was refused is followed");
    Ok(())
}

#[test]
fn all_parameters_are_explained() -> Result<()> {
    let class = read("contrib/puppet/prroute/manifests/init.pp")?;
    let parameters: Vec<_> =
        class.lines().filter_map(|line| line.strip_prefix("# @param ")).collect();
    ensure!(parameters.len() > 5, "{parameters:?}");
    let page = read("contrib/puppet/README.md")?;
    for name in parameters {
        ensure!(page.contains(&format!("| `{name}` |")), "{name} is not in the page");
        ensure!(class.contains(&format!(" ${name} = ")), "{name} is no parameter");
    }
    Ok(())
}
