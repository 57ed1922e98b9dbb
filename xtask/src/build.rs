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
    let mut cargo = prepared.cargo();
    cargo.args(["build", "--package", "prroute", "--message-format=json-render-diagnostics"]);
    if release {
        cargo.arg("--release");
    }
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {cargo:?}"))?;
    if !output.status.success() {
        bail!("cargo build --package prroute failed");
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo build reported no executable for prroute")
}

/// The executable in cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "prroute")
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
        assert_eq!(executable(messages).as_deref(), Some(Path::new("/t/p")));
        assert_eq!(executable(""), None);
    }
}
