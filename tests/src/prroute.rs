//! prroute itself: an instance in a namespace, with exactly the unit's capabilities.

mod attended;
mod daemon;
mod running;
mod traces;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub use self::daemon::Daemon;
pub use self::running::{Running, expect_unchanged_since};
pub use self::traces::{ensure_bpffs, lasting_state, pins, remove_leftovers, state};
use crate::command::{self, Output};
use crate::mounts;
use crate::netns::Namespace;
pub use crate::own_source::{OwnSource, in_both_modes};
use crate::scratch::Scratch;

/// Time for a daemon to be ready or to end: a debug build on a small, busy machine.
pub const START: Duration = Duration::from_secs(60);
pub const STOP: Duration = Duration::from_secs(60);

/// What the unit grants, and nothing else.
pub const CAPABILITIES: [&str; 4] = [
    "setpriv",
    "--bounding-set=-all,+net_admin,+bpf,+perfmon",
    "--inh-caps=-all",
    "--no-new-privs",
];

/// An instance of prroute in one namespace. What it left is removed on drop.
#[derive(Debug)]
pub struct Instance<'lab> {
    namespace: &'lab Namespace,
    name: String,
    directory: PathBuf,
    binary: PathBuf,
    configuration: Option<PathBuf>,
    own_source: OwnSource,
    wrapper: Vec<String>,
    etc: Option<PathBuf>,
    keep: bool,
}

impl<'lab> Instance<'lab> {
    /// An instance with the name `name`, which must be unique on the machine.
    pub fn new(namespace: &'lab Namespace, scratch: &Scratch, name: &str) -> Result<Self> {
        ensure_bpffs()?;
        let instance = Self {
            namespace,
            name: name.to_owned(),
            directory: scratch.path().to_owned(),
            binary: binary()?,
            configuration: None,
            own_source: OwnSource::Rules,
            wrapper: Vec::new(),
            etc: None,
            keep: false,
        };
        instance.own_source(OwnSource::from_environment()?)
    }

    /// Runs with this `own-source`, and nothing else: [`Instance::configure`], which comes later, writes it
    /// before what it is given.
    pub fn own_source(mut self, mode: OwnSource) -> Result<Self> {
        self.own_source = mode;
        if mode != OwnSource::Rules || self.configuration.is_some() {
            self.configure("")?;
        }
        Ok(self)
    }

    /// Leaves everything behind on drop.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Runs this build of prroute instead of the one under test.
    #[must_use]
    pub fn of_build(mut self, binary: PathBuf) -> Self {
        self.binary = binary;
        self
    }

    /// Starts every command with these words, before it gives its capabilities up.
    #[must_use]
    pub fn wrapped(mut self, words: Vec<String>) -> Self {
        self.wrapper = words;
        self
    }

    /// Runs with this configuration file instead of none; `own-source` is its first line unless it is
    /// the default.
    pub fn configure(&mut self, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(format!("{}.toml", self.name));
        let text = format!("{}{text}", self.own_source.line());
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        self.configuration = Some(path.clone());
        Ok(path)
    }

    /// Likewise.
    pub fn configured(mut self, text: &str) -> Result<Self> {
        self.configure(text)?;
        Ok(self)
    }

    /// Runs with an /etc of its own; the directory for it, empty at first.
    pub fn with_own_etc(&mut self) -> Result<PathBuf> {
        let path = self.directory.join(format!("{}.etc", self.name));
        std::fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        self.etc = Some(path.clone());
        Ok(path)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The command for `prroute WORDS --instance NAME` inside the namespace.
    pub fn command(&self, words: &[&str]) -> Result<Command> {
        self.command_with(&CAPABILITIES, words)
    }

    /// Likewise, with another wrapper than the unit's capabilities.
    pub fn command_with(&self, wrapper: &[&str], words: &[&str]) -> Result<Command> {
        let binary = self.binary.display().to_string();
        let guarded: &[&str] =
            if self.keep { &[] } else { &["setpriv", "--pdeathsig", "KILL", "--"] };
        let outer: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        let etc = self.etc.as_deref().map(|etc| mounts::wrapper(&[(etc, "/etc")])).transpose()?;
        let etc: Vec<&str> = etc.iter().flatten().map(String::as_str).collect();
        let instance = ["--instance", &self.name];
        // A configuration is checked for no instance.
        let instance = if words.first() == Some(&"check") { &[][..] } else { &instance };
        let mut argv = [guarded, &outer, &etc, wrapper, &[&binary], words, instance].concat();
        let configuration = self.configuration.as_ref().map(|path| path.display().to_string());
        if let (Some(path), Some(&("run" | "try"))) = (&configuration, words.first()) {
            argv.extend(["--config", path]);
        }
        let mut command = self.namespace.command(&argv);
        command.env_remove("NOTIFY_SOCKET").env("NO_COLOR", "1");
        Ok(command)
    }

    /// Runs `prroute WORDS` to its end, whatever its exit code.
    pub fn output(&self, words: &[&str]) -> Result<Output> {
        command::output_within(&mut self.command(words)?, STOP, "")
    }

    /// Starts the daemon and waits until it told the service manager that it is ready.
    pub fn run(&self, options: &[&str]) -> Result<Daemon> {
        let mut daemon = self.start(options)?;
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Starts the daemon.
    pub fn start(&self, options: &[&str]) -> Result<Daemon> {
        let socket = self.directory.join(format!("{}.notify", self.name));
        Daemon::spawn(self.command(&[&["run"], options].concat())?, socket, self.keep)
    }

    /// `prroute down`, which must succeed.
    pub fn down(&self) -> Result<String> {
        self.output(&["down"])?.success()
    }

    /// `prroute status --json`, whatever is wrong; also without a daemon.
    pub fn status(&self) -> Result<Value> {
        let Output { stdout, stderr, .. } = self.output(&["status", "--json"])?;
        serde_json::from_str(&stdout).with_context(|| format!("parse the status {stdout}{stderr}"))
    }

    /// `prroute status`, whatever is wrong, its sentences in one line each.
    pub fn status_text(&self, options: &[&str]) -> Result<String> {
        let text = self.output(&[&["status"], options].concat())?.stdout;
        // A sentence goes on below its beginning.
        Ok(text.replace("\n    ", " "))
    }

    /// How often `reason` was counted, on all uplinks; also without a daemon.
    pub fn count(&self, reason: &str) -> Result<u64> {
        counted(&self.status()?, reason)
    }

    /// The recorded flows that `filter` wants, of `prroute flows --json`.
    pub fn flows(&self, filter: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let json = self.output(&["flows", "--json", "state", "all"])?.success()?;
        let report: Value =
            serde_json::from_str(&json).with_context(|| format!("parse the flows {json}"))?;
        let flows = report["flows"].as_array().with_context(|| format!("no flows: {json}"))?;
        Ok(flows.iter().filter(|flow| filter(flow)).cloned().collect())
    }

    /// No flow may count as opened by somebody else.
    pub fn expect_none_inbound(&self) -> Result<()> {
        let mut flows = self.flows(|_| true)?;
        ensure!(!flows.is_empty(), "no flow is known");
        flows.retain(|flow| flow["opened_inbound"] == true);
        ensure!(flows.is_empty(), "opened inbound: {flows:#?}");
        Ok(())
    }
}

/// How often `reason` was counted on all uplinks of this report of `status`.
pub fn counted(status: &Value, reason: &str) -> Result<u64> {
    let uplinks = status["uplinks"].as_array().with_context(|| format!("no uplinks: {status}"))?;
    let counts = uplinks.iter().map(|uplink| uplink["counters"][reason].as_u64());
    Ok(counts.map(Option::unwrap_or_default).sum())
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if pins(&self.name).exists()
            && let Err(error) = self.output(&["down"]).and_then(Output::success)
        {
            eprintln!("{error:#}");
        }
        remove_leftovers(&self.name);
    }
}

/// The program under test: `PRROUTE_BIN`, or the workspace's debug build.
pub fn binary() -> Result<PathBuf> {
    find("PRROUTE_BIN", "prroute", "cargo xtask build")
}

/// Another version of it, with another layout of its maps: `PRROUTE_OTHER_BIN`, or a debug build.
pub fn other_version() -> Result<PathBuf> {
    let build = "cargo build -p prroute --features other-version --bin prroute-other-version";
    find("PRROUTE_OTHER_BIN", "prroute-other-version", build)
}

fn find(variable: &str, name: &str, build: &str) -> Result<PathBuf> {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug").join(name);
    let path = std::env::var_os(variable).map_or_else(built, PathBuf::from);
    ensure!(
        path.is_file(),
        "no {}: build it with `{build}`, or name it in {variable}",
        path.display()
    );
    std::path::absolute(&path).with_context(|| format!("make {} absolute", path.display()))
}
