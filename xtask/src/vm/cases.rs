//! The test programs that guests run.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup::Prepared;

/// A file of cases, built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// Parts of names of the tests to run; all when empty.
    pub(crate) filter: Vec<String>,
}

/// Run where none is named: what another kernel can break. The others go in guests as well when
/// they are named, but some of them wait for times that an emulated processor cannot keep.
const USUAL: [&str; 7] = [
    "verifier",
    "programs",
    "conformance",
    "clsact",
    "nat::the_ruleset_of_docker_in_nftables_mode",
    "undo::down_restores_every_byte_after_the_daemon_was_killed",
    "links",
];

/// Cases that no guest can run: they look at files, or at figures of the host's kernel.
const OF_HOST: [&str; 3] = ["readme", "unit_file", "budget"];

/// Cases that only guests run: they need modules that a host may lack.
const OF_GUESTS: [&str; 1] = ["links"];

/// Builds the cases of the host and of the guests.
pub(crate) fn build(prepared: &Prepared) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let all: Vec<String> = vec!["--tests".to_owned()];
    let only: Vec<String> =
        OF_GUESTS.iter().flat_map(|name| ["--test".to_owned(), (*name).to_owned()]).collect();
    for targets in [all, only] {
        cases.extend(programs(prepared, &targets)?);
    }
    cases.retain(|case| !OF_HOST.contains(&case.name.as_str()));
    Ok(cases)
}

/// Builds the test program of this name.
pub(crate) fn build_one(prepared: &Prepared, name: &str) -> Result<PathBuf> {
    let built = programs(prepared, &["--test".to_owned(), name.to_owned()])?;
    built.into_iter().next().map(|case| case.program).with_context(|| format!("no test {name}"))
}

fn programs(prepared: &Prepared, targets: &[String]) -> Result<Vec<Case>> {
    let mut cargo = prepared.cargo();
    cargo
        .args(["test", "--no-run", "--package", "prroute-tests"])
        .arg("--message-format=json-render-diagnostics")
        .args(targets);
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {cargo:?}"))?;
    if !output.status.success() {
        bail!("cargo test --no-run --package prroute-tests failed");
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// The integration tests in cargo's messages, one JSON object a line.
fn executables(messages: &str) -> Vec<Case> {
    let is_test = |message: &Value| {
        message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test"))
    };
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(is_test)
        .filter_map(|message| {
            Some(Case {
                name: message["target"]["name"].as_str()?.to_owned(),
                program: message["executable"].as_str()?.into(),
                filter: Vec::new(),
            })
        })
        .collect()
}

/// Those that are wanted, as FILE or FILE::TEST; the usual ones when nothing is.
pub(crate) fn select(cases: &[Case], wanted: &[String]) -> Result<Vec<Case>> {
    let usual = USUAL.map(str::to_owned);
    let wanted = if wanted.is_empty() { &usual[..] } else { wanted };
    let mut selected: Vec<Case> = Vec::new();
    for want in wanted {
        let (name, test) =
            want.split_once("::").map_or((want.as_str(), None), |(n, t)| (n, Some(t)));
        let Some(case) = cases.iter().find(|case| case.name == name) else {
            let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            bail!("no case {name}; there are {}", names.join(", "));
        };
        match (selected.iter_mut().find(|s| s.name == name), test) {
            (Some(again), Some(test)) if !again.filter.is_empty() => {
                again.filter.push(test.to_owned());
            }
            (Some(again), _) => again.filter.clear(),
            (None, test) => {
                let filter = test.map(str::to_owned).into_iter().collect();
                selected.push(Case { filter, ..case.clone() });
            }
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::{Case, USUAL, executables, select};

    fn cases() -> Vec<Case> {
        executables(concat!(
            r#"{"target":{"name":"prroute_tests","kind":["lib"]},"executable":"/t/lib"}"#,
            "\n",
            r#"{"target":{"name":"undo","kind":["test"]},"executable":"/t/undo"}"#,
            "\nnot json\n",
            r#"{"target":{"name":"size","kind":["test"]},"executable":"/t/size"}"#,
        ))
    }

    fn names(wanted: &[&str]) -> Vec<(String, Vec<String>)> {
        let wanted: Vec<String> = wanted.iter().map(|want| (*want).to_owned()).collect();
        let selected = select(&cases(), &wanted).unwrap();
        selected.into_iter().map(|case| (case.name, case.filter)).collect()
    }

    #[test]
    fn integration_tests_are_cases_and_the_library_is_none() {
        let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
        assert_eq!(names, ["undo", "size"]);
    }

    #[test]
    fn the_usual_cases_are_the_projects_own() {
        let root = crate::project::root().join("tests/cases");
        for name in USUAL.map(|case| case.split("::").next().unwrap()) {
            let is_there = root.join(format!("{name}.rs")).is_file() || root.join(name).is_dir();
            assert!(is_there, "{name}");
        }
    }

    #[test]
    fn a_file_or_some_of_its_tests_can_be_wanted() {
        let (undo, size) = ("undo".to_owned(), "size".to_owned());
        assert_eq!(names(&["size"]), [(size, vec![])]);
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(names(&["undo::a", "undo::b"]), [(undo.clone(), both)]);
        assert_eq!(names(&["undo::a", "undo"]), [(undo, vec![])]);
        assert!(select(&cases(), &["nothing".to_owned()]).is_err());
    }
}
