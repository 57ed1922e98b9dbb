//! Does the steps of a plan.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::crates::Tool;
use super::plan::{Package, Step};
use super::toolchain::{LINKED, LINKER_VERSION, SYSTEM_SYSROOT};
use crate::apt::State;
use crate::project;

/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 40;

/// Brings apt's knowledge of the archive up to date.
pub(crate) fn update_archive() {
    // An unreachable foreign archive is no reason to stop: what is missing shows in the plan.
    if let Err(error) = quietly(apt_get().arg("update")) {
        eprintln!("warning: {error:#}");
    }
}

pub(crate) fn apply(step: &Step) -> Result<()> {
    let start = Instant::now();
    match step {
        Step::Install(packages) => install(packages, &[])?,
        Step::Backport { packages, codename } => {
            let state = State::with_backports(codename)?;
            quietly(apt_get().args(state.options()).arg("update"))?;
            // Preferred for what is named here.
            let release = [format!("--target-release={codename}-backports")];
            let options = [state.options(), &release].concat();
            install(packages, &options)?;
        }
        Step::Link => {
            quietly(Command::new("rustup").args(["toolchain", "link", LINKED, SYSTEM_SYSROOT]))?;
        }
        Step::Linker { llvm } => build_linker(*llvm)?,
        Step::Tool(tool) => build_tool(tool)?,
    }
    eprintln!("  done in {} s: {}", start.elapsed().as_secs(), title(step));
    Ok(())
}

fn title(step: &Step) -> &'static str {
    match step {
        Step::Install(_) => "Debian packages",
        Step::Backport { .. } => "Debian packages of the backports",
        Step::Link => "rustup toolchain",
        Step::Linker { .. } => "bpf-linker",
        Step::Tool(tool) => tool.name,
    }
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args([
        "--quiet",
        "--yes",
        "--option=DPkg::Lock::Timeout=300",
    ]);
    apt
}

fn install(packages: &[Package], options: &[String]) -> Result<()> {
    let services: Vec<&str> = packages.iter().flat_map(|p| p.services).copied().collect();
    let off = ServicesOff::begin(&services)?;
    let installed = quietly(
        apt_get()
            .args(options)
            .args(["install", "--no-install-recommends", "--no-remove"])
            .args(packages.iter().map(|package| &package.name))
            // Without systemd, Debian's invoke-rc.d starts nothing in this runlevel.
            .env("RUNLEVEL", "1"),
    );
    let ended = off.end();
    installed.and(ended)
}

/// Keeps the services of new packages from being started and from being enabled.
#[derive(Debug)]
struct ServicesOff<'a> {
    services: &'a [&'a str],
    systemd: bool,
}

impl<'a> ServicesOff<'a> {
    fn begin(services: &'a [&'a str]) -> Result<Self> {
        let systemd = !services.is_empty() && Path::new("/run/systemd/system").is_dir();
        if systemd {
            // Masks of this kind are gone after a reboot, whatever happens here.
            quietly(Command::new("systemctl").args(["mask", "--runtime"]).args(services))?;
        }
        Ok(Self { services, systemd })
    }

    fn end(self) -> Result<()> {
        if self.systemd {
            let mut unmask = Command::new("systemctl");
            quietly(unmask.args(["unmask", "--runtime"]).args(self.services))?;
        }
        for service in self.services {
            let (name, kind) = service.rsplit_once('.').unwrap_or((service, "service"));
            if project::find_program("systemctl").is_some() {
                quietly(Command::new("systemctl").args(["disable", service]))?;
            } else if kind == "service" && Path::new("/etc/init.d").join(name).exists() {
                quietly(Command::new("update-rc.d").args([name, "disable"]))?;
            }
        }
        Ok(())
    }
}

fn build_linker(llvm: u32) -> Result<()> {
    quietly(
        project::cargo()
            .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"])
            .args(["--no-default-features", "--features"])
            .arg(format!("llvm-{llvm}"))
            .arg("--root")
            .arg(project::tools())
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
            // A build of its own, in a temporary directory.
            .env_remove("CARGO_TARGET_DIR"),
    )
}

fn build_tool(tool: &Tool) -> Result<()> {
    quietly(
        project::cargo()
            .args(tool.install_words())
            .arg("--root")
            .arg(project::tools())
            // It runs for seconds: optimising it as one whole would take longer than it saves.
            .envs([
                ("CARGO_PROFILE_RELEASE_LTO", "off"),
                ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
            ])
            .env_remove("CARGO_TARGET_DIR"),
    )
}

/// Runs a command and shows what it printed only if it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        eprintln!("    {line}");
    }
    bail!("{command:?}: {}", output.status)
}
