//! Somebody who follows a page line by line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::prroute::{self, Daemon, Instance};
use prroute_tests::{command, mounts, scratch, wait};

use super::expected::agrees;
use super::site::Site;
use crate::blocks::{Block, blocks};

/// Of a command of a page: one may wait for the daemon of a debug build.
const DEADLINE: Duration = Duration::from_secs(90);

/// Within this time what a page promises is there.
const SOON: Duration = Duration::from_secs(20);

/// What only looks may be typed again.
const LOOKS: [&str; 7] = [
    "prroute status",
    "prroute explain",
    "prroute flows",
    "prroute doctor",
    "prroute plan",
    "birdc show",
    "ip ",
];

/// The name of the instance is all that a page does not say; scripts that `prroute import` makes do.
const PROGRAM: &str = "#!/bin/sh\n\
    case \"$1\" in check|generate-config|schema|setup|version) exec @BINARY@ \"$@\";; esac\n\
    case \" $* \" in *\" --instance \"*) exec @BINARY@ \"$@\";; esac\n\
    exec @BINARY@ \"$@\" --instance @NAME@\n";

/// A command of a page.
#[derive(Debug)]
struct Step<'a> {
    on_host: bool,
    command: &'a str,
    /// What it prints, as the page has it; nothing where the page is silent.
    promised: String,
}

/// Where the quick starts are.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/quick-starts")
}

/// A quick start, by the name of its file.
pub(super) fn text(page: &str) -> Result<String> {
    let path = folder().join(page);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn steps(block: &str) -> Result<Vec<Step<'_>>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.lines() {
        let prompts = [("host# ", true), ("client$ ", false)];
        let typed = prompts
            .iter()
            .find_map(|(prompt, on_host)| Some((line.strip_prefix(prompt)?, *on_host)));
        if let Some((command, on_host)) = typed {
            steps.push(Step { on_host, command, promised: String::new() });
        } else {
            let step = steps.last_mut().with_context(|| format!("no command before {line}"))?;
            step.promised += &format!("{line}\n");
        }
    }
    Ok(steps)
}

#[derive(Debug)]
pub(super) struct Reader<'site> {
    site: &'site Site,
    instance: Instance<'site>,
    daemon: Option<Daemon>,
    /// /etc of the host.
    etc: PathBuf,
    /// Before all other directories of programs.
    programs: PathBuf,
    /// What the reader does not type, as the lab has not what it is for.
    left_out: &'static [&'static str],
    /// What the lab calls otherwise than the pages, and what they call it.
    names: Vec<(String, &'static str)>,
}

impl<'site> Reader<'site> {
    pub(super) fn new(site: &'site Site, left_out: &'static [&'static str]) -> Result<Self> {
        let mut instance = Instance::new(&site.host, &site.scratch, &site.name)?;
        let etc = instance.with_own_etc()?;
        // Programs may be links that lead through it.
        command::run(&["cp", "-a", "/etc/.", &path(&etc)])?;
        command::run(&["rm", "-rf", &path(&etc.join("prroute"))])?;
        // What the package has for `ip`.
        for kind in ["rt_protos", "rt_tables"] {
            let packaged = folder().join(format!("../../packaging/iproute2/{kind}.conf"));
            let installed = etc.join(format!("iproute2/{kind}.d/prroute.conf"));
            command::run(&["install", "-D", "-m", "0644", &path(&packaged), &path(&installed)])?;
        }
        let binary = prroute::binary()?.display().to_string();
        let text = PROGRAM.replace("@BINARY@", &binary).replace("@NAME@", &site.name);
        let programs = site.scratch.path().join("bin");
        // The lab has no systemd.
        let start = ("fix: prroute run --instance default", "fix: systemctl enable --now prroute");
        let names = vec![(site.name.clone(), "default"), (start.0.to_owned(), start.1)];
        let reader = Self { site, instance, daemon: None, etc, programs, left_out, names };
        reader.with_program("prroute", &text)
    }

    /// Types `name` for this script.
    pub(super) fn with_program(self, name: &str, script: &str) -> Result<Self> {
        let written = self.site.scratch.write(&format!("scripts/{name}"), script)?;
        scratch::install(&written, &self.programs.join(name))?;
        Ok(self)
    }

    /// What the pages call `of_pages` begins with `here` in the lab.
    pub(super) fn naming(mut self, here: &str, of_pages: &'static str) -> Self {
        self.names.push((here.to_owned(), of_pages));
        self
    }

    /// Does all that the page says, and undoes it.
    pub(super) fn follow(mut self, page: &str) -> Result<()> {
        let text = text(page)?;
        for words in self.left_out {
            ensure!(text.contains(words), "{page} no longer says {words}");
        }
        let (mut count, mut promises) = (0, 0);
        for block in blocks(&text) {
            if self.write_file(&block)? || block.language != "console" {
                continue;
            }
            for step in steps(&block.text)? {
                count += 1;
                promises += usize::from(!step.promised.is_empty());
                self.take(&step).with_context(|| format!("{page}: {}", step.command))?;
            }
        }
        ensure!(count > 2 && promises > 1, "{page}: {count} commands, {promises} with output");
        if let Some(daemon) = self.daemon.take() {
            daemon.terminate()?;
        }
        self.instance.down().map(drop)
    }

    /// /etc of the host.
    pub(super) fn etc(&self) -> &Path {
        &self.etc
    }

    /// Writes the first file of a page, for a program that is started before the page is followed.
    pub(super) fn write_first_file(&self, page: &str) -> Result<()> {
        for block in blocks(&text(page)?) {
            if self.write_file(&block)? {
                return Ok(());
            }
        }
        bail!("{page} has no file")
    }

    /// Whether the block was a file of the host's /etc.
    fn write_file(&self, block: &Block) -> Result<bool> {
        let first = block.text.lines().next().unwrap_or_default();
        let Some(below) = first.strip_prefix("# /etc/") else { return Ok(false) };
        let path = self.etc.join(below);
        let parent = path.parent().context("no directory")?;
        std::fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        std::fs::write(&path, &block.text).with_context(|| format!("write {}", path.display()))?;
        Ok(true)
    }

    fn take(&mut self, step: &Step<'_>) -> Result<()> {
        match step.command {
            // The lab has no systemd.
            "systemctl enable --now prroute" => {
                if self.daemon.is_none() {
                    self.daemon = Some(self.instance.run(&[])?);
                }
                Ok(())
            }
            "systemctl disable --now prroute" => {
                let daemon = self.daemon.take().context("no daemon runs")?;
                daemon.terminate().map(drop)
            }
            command if self.left_out.contains(&command) => Ok(()),
            _ if step.promised.is_empty() => {
                let (succeeded, printed) = self.type_in(step)?;
                ensure!(succeeded, "failed:\n{printed}");
                Ok(())
            }
            _ => self.compare(step),
        }
    }

    fn compare(&self, step: &Step<'_>) -> Result<()> {
        let mut printed = String::new();
        let mut look = || -> Result<bool> {
            (_, printed) = self.type_in(step)?;
            for (here, of_pages) in &self.names {
                printed = printed.replace(here, of_pages);
            }
            Ok(agrees(&step.promised, &printed))
        };
        let agreed = if LOOKS.iter().any(|begin| step.command.starts_with(begin)) {
            wait::until("what is promised", SOON, || Ok(look()?.then_some(())))
        } else {
            look().and_then(|agrees| agrees.then_some(()).context("not what is promised"))
        };
        agreed.with_context(|| format!("promised:\n{}\nprinted:\n{printed}", step.promised))
    }

    /// Whether the command succeeded, and what it printed on both its outputs.
    fn type_in(&self, step: &Step<'_>) -> Result<(bool, String)> {
        let script = format!("exec 2>&1\n{}", step.command);
        let shell = ["sh", "-c", script.as_str()];
        let mut command = if step.on_host {
            let etc = mounts::wrapper(&[(&self.etc, "/etc")])?;
            let etc: Vec<&str> = etc.iter().map(String::as_str).collect();
            self.site.host.command(&[&etc, &shell[..]].concat())
        } else {
            self.site.client.command(&shell)
        };
        let path = std::env::var("PATH").context("PATH")?;
        command
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("NO_COLOR", "1")
            .env("no_proxy", "*")
            .current_dir(self.site.scratch.path());
        let output = command::output_within(&mut command, DEADLINE, "")?;
        Ok((output.status.success(), output.stdout))
    }
}
