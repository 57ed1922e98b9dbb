//! `cargo xtask build`: the prroute binary, with its BPF object inside.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup::{self, Prepared, Scope};

pub(crate) fn task(release: bool) -> Result<bool> {
    let prepared = setup::ensure(Scope::Build)?;
    println!("{}", binary(&prepared, release)?.display());
    Ok(true)
}

/// Builds prroute and returns where cargo put it.
pub(crate) fn binary(prepared: &Prepared, release: bool) -> Result<PathBuf> {
    let options: &[&str] = if release { &["--release"] } else { &[] };
    executable_of(prepared, "prroute", options)
}

/// Builds what tests take for another version, and returns where cargo put it: the crates that are the
/// same are built once.
pub(crate) fn other_version(prepared: &Prepared) -> Result<PathBuf> {
    executable_of(prepared, "prroute-other-version", &["--features", "other-version"])
}

fn executable_of(prepared: &Prepared, name: &str, options: &[&str]) -> Result<PathBuf> {
    let mut cargo = prepared.cargo();
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
