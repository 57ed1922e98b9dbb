//! `cargo xtask build`: the prroute binary, with its BPF object inside.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project;
use crate::setup::{self, Prepared, Scope};
use crate::target::Architecture;

/// Which binary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) architecture: Architecture,
    pub(crate) release: bool,
    pub(crate) is_static: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { architecture: Architecture::HOST, release: false, is_static: false }
    }
}

pub(crate) fn task(wanted: &Wanted) -> Result<bool> {
    let foreign = wanted.architecture.is_foreign();
    let prepared = setup::ensure(if foreign { Scope::Cross } else { Scope::Build })?;
    println!("{}", binary(&prepared, wanted)?.display());
    Ok(true)
}

/// Builds prroute and returns where cargo put it.
pub(crate) fn binary(prepared: &Prepared, wanted: &Wanted) -> Result<PathBuf> {
    let mut options = Vec::new();
    if wanted.release {
        options.push("--release".to_owned());
    }
    if wanted.architecture.is_foreign() || wanted.is_static {
        // With it flags are for the target alone, and not for build scripts and macros.
        options.extend(["--target".to_owned(), wanted.architecture.triple().to_owned()]);
    }
    if wanted.is_static {
        let flags = "['-Ctarget-feature=+crt-static']";
        let triple = wanted.architecture.triple();
        // Of its own, so that neither builds the other's crates again.
        let directory = project::target().join("static");
        options.extend([
            "--config".to_owned(),
            format!("target.{triple}.rustflags={flags}"),
            "--target-dir".to_owned(),
            directory.display().to_string(),
        ]);
    }
    executable_of(prepared.cargo_for(wanted.architecture)?, "prroute", &options)
}

/// Builds what tests take for another version, and returns where cargo put it: the crates that are the
/// same are built once.
pub(crate) fn other_version(prepared: &Prepared) -> Result<PathBuf> {
    let options = ["--features", "other-version"].map(str::to_owned);
    executable_of(prepared.cargo(), "prroute-other-version", &options)
}

fn executable_of(mut cargo: Command, name: &str, options: &[String]) -> Result<PathBuf> {
    cargo.args(["build", "--package", "prroute", "--bin", name]);
    cargo.arg("--message-format=json-render-diagnostics").args(options);
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {cargo:?}"))?;
    if !output.status.success() {
        bail!("cargo build --package prroute failed");
    }
    executable(&String::from_utf8_lossy(&output.stdout), name)
        .with_context(|| format!("cargo build reported no executable {name}"))
}

/// The executable in cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::executable;
    use std::path::Path;

    #[test]
    fn the_binary_is_told_from_the_library_and_the_build_script() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"prroute"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":"/t/x"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"prroute"},"executable":"/t/p"}"#,
        );
        assert_eq!(executable(messages, "prroute").as_deref(), Some(Path::new("/t/p")));
        assert_eq!(executable("", "prroute"), None);
    }
}
