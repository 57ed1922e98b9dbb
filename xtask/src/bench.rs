//! `cargo xtask bench`: what prroute costs, beside what else would do its job.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::setup::{self, Scope};
use crate::{build, project, root};

/// Where the report goes when the command names no place for anything, below target/.
const DEFAULT_REPORT: &str = "bench";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A few rounds of each measurement, by what `cargo xtask test` builds: shows that the bench
    /// works, not what is fast
    #[arg(long)]
    quick: bool,
    /// Write all results, the raw samples included, to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write index.html and results.json to DIR [default: target/bench, unless --json is given]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Run only the measurements whose name contains one of these
    #[arg(last = true)]
    filter: Vec<String>,
}

pub(crate) fn task(arguments: &Arguments) -> Result<ExitCode> {
    root::require("bench", "it makes network namespaces and loads BPF programs into them")?;
    let default = project::target().join(DEFAULT_REPORT);
    let (quick, arguments) = (arguments.quick, arguments.resolved(&default)?);
    let prepared = setup::ensure(Scope::Bench)?;
    // The programs are optimised in either; what a quick run would gain goes by many times in
    // building everything once more.
    let profile = if quick { "dev" } else { "bench" };
    let binary = build::binary(&prepared, !quick)?;
    let mut cargo = prepared.cargo();
    cargo
        .args(["bench", "--profile", profile])
        .args(["--package", "prroute-tests", "--bench", "bench", "--"])
        .args(arguments)
        .env("PRROUTE_BIN", binary)
        .stdin(Stdio::null());
    let status = cargo.status().with_context(|| format!("run {cargo:?}"))?;
    // Without a code a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

impl Arguments {
    /// What the bench itself is given. It does not run in this directory: cargo starts it in its
    /// package's.
    fn resolved(&self, default_report: &Path) -> Result<Vec<OsString>> {
        let mut resolved = Vec::new();
        if self.quick {
            resolved.push(OsString::from("--quick"));
        }
        let nowhere = self.json.is_none() && self.report.is_none();
        let report = self.report.as_deref().or(nowhere.then_some(default_report));
        for (option, path) in [("--json", self.json.as_deref()), ("--report", report)] {
            let Some(path) = path else { continue };
            let path = absolute(path)
                .with_context(|| format!("find the directory of {}", path.display()))?;
            resolved.extend([OsString::from(option), path.into()]);
        }
        resolved.extend(self.filter.iter().map(OsString::from));
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Arguments;

    fn resolved(json: Option<&str>, report: Option<&str>) -> Vec<String> {
        let arguments = Arguments {
            quick: true,
            json: json.map(Into::into),
            report: report.map(Into::into),
            filter: vec!["udp".to_owned()],
        };
        let resolved = arguments.resolved(Path::new("/t/bench")).unwrap();
        resolved.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_run_that_names_no_place_leaves_a_report_in_the_default_one() {
        assert_eq!(resolved(None, None), ["--quick", "--report", "/t/bench", "udp"]);
        assert_eq!(resolved(Some("/r.json"), None), ["--quick", "--json", "/r.json", "udp"]);
    }

    #[test]
    fn paths_are_those_of_the_directory_of_the_caller() {
        let here = std::env::current_dir().unwrap();
        let report = here.join("out").into_os_string().into_string().unwrap();
        assert_eq!(
            resolved(Some("/r.json"), Some("out")),
            ["--quick", "--json", "/r.json", "--report", &report, "udp"]
        );
    }
}
