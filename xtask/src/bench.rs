//! `cargo xtask bench`: what prroute costs, beside what else would do its job.

use std::ffi::OsString;
use std::path::{PathBuf, absolute};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Wanted};
use crate::root;
use crate::setup::{self, Scope};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A few rounds of each measurement, by what `cargo xtask test` builds: shows that the bench
    /// works, not what is fast
    #[arg(long)]
    quick: bool,
    /// Write all results, the raw samples included, to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these contestants, beside the baseline of each measurement
    #[arg(long, value_name = "NAME,...")]
    only: Option<String>,
    /// All contestants but these
    #[arg(long, value_name = "NAME,...")]
    without: Option<String>,
    /// Another build of prroute, measured as prroute-before in turn with this one
    #[arg(long, env = "PRROUTE_BEFORE", value_name = "FILE")]
    before: Option<PathBuf>,
    /// Run only the measurements whose name contains one of these
    #[arg(last = true)]
    filter: Vec<String>,
}

pub(crate) fn task(arguments: &Arguments) -> Result<ExitCode> {
    root::require("bench", "it makes network namespaces and loads BPF programs into them")?;
    let (quick, arguments) = (arguments.quick, arguments.resolved()?);
    let prepared = setup::ensure(Scope::Bench)?;
    // The programs are optimised in either; what a quick run would gain goes by many times in
    // building everything once more.
    let profile = if quick { "dev" } else { "bench" };
    let binary = build::binary(&prepared, &Wanted { release: !quick, ..Wanted::default() })?;
    let mut cargo = prepared.cargo();
    cargo
        .args(["run", "--profile", profile, "--package", "prroute-bench", "--"])
        .args(arguments)
        .env("PRROUTE_BIN", binary)
        .stdin(Stdio::null());
    let status = cargo.status().with_context(|| format!("run {cargo:?}"))?;
    // Without a code a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

impl Arguments {
    /// What the bench itself is given. It does not run in this directory, but in the project's.
    fn resolved(&self) -> Result<Vec<OsString>> {
        let path = |path: &PathBuf| -> Result<OsString> {
            let path = absolute(path)
                .with_context(|| format!("find the directory of {}", path.display()))?;
            Ok(path.into())
        };
        let options = [
            ("--json", self.json.as_ref().map(path).transpose()?),
            ("--before", self.before.as_ref().map(path).transpose()?),
            ("--only", self.only.as_ref().map(OsString::from)),
            ("--without", self.without.as_ref().map(OsString::from)),
        ];
        let mut resolved = Vec::new();
        if self.quick {
            resolved.push(OsString::from("--quick"));
        }
        for (option, value) in options {
            if let Some(value) = value {
                resolved.extend([OsString::from(option), value]);
            }
        }
        resolved.push(OsString::from("--"));
        resolved.extend(self.filter.iter().map(OsString::from));
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    #[test]
    fn the_bench_is_given_the_paths_of_the_callers_directory() {
        let here = std::env::current_dir().unwrap().join("out.json");
        let arguments = Arguments {
            quick: true,
            json: Some("out.json".into()),
            only: Some("prroute,ct-mark".to_owned()),
            without: None,
            before: Some("/t/prroute".into()),
            filter: vec!["udp".to_owned()],
        };
        let resolved = arguments.resolved().unwrap();
        let resolved: Vec<String> =
            resolved.into_iter().map(|argument| argument.into_string().unwrap()).collect();
        let expected = ["--quick", "--json", here.to_str().unwrap(), "--before", "/t/prroute"];
        assert_eq!(resolved[..5], expected);
        assert_eq!(resolved[5..], ["--only", "prroute,ct-mark", "--", "udp"]);
    }
}
