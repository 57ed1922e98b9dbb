//! The test programs that guests run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::foreign;
use crate::setup::Prepared;
use crate::target::Architecture;

/// A file of cases: a test program of its own, or a module of one that holds many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// The full names of its tests.
    pub(crate) tests: Vec<String>,
}

/// A test program, built.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    path: PathBuf,
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

/// The programs whose modules are files of cases. Those that no guest can run are left out (`files`:
/// files, and figures of the host's kernel), as is the one of a guest that boots systemd.
const OF_MODULES: [&str; 2] = ["lab", "alone"];

/// The programs that are one file of cases; only guests run `links`, for it needs modules that a host
/// may lack.
const OF_ONE: [&str; 2] = ["programs", "links"];

/// Builds the cases of the host and of the guests.
pub(crate) fn build(prepared: &Prepared, architecture: Architecture) -> Result<Vec<Case>> {
    let targets = OF_MODULES.iter().chain(&OF_ONE);
    let targets: Vec<&str> = targets.flat_map(|name| ["--test", name]).collect();
    let mut cases = Vec::new();
    for program in programs(prepared.cargo_for(architecture)?, architecture, &targets)? {
        cases.extend(split(&program, tests(&program.path, architecture)?));
    }
    Ok(cases)
}

/// The full names of a program's tests.
fn tests(program: &Path, architecture: Architecture) -> Result<Vec<String>> {
    let mut list = match architecture.is_foreign() {
        true => {
            let mut emulator = Command::new(format!("qemu-{}-static", architecture.machine()));
            emulator.arg("-L").arg(foreign::files(architecture)?).arg(program);
            emulator
        }
        false => Command::new(program),
    };
    list.args(["--list", "--format", "terse"]);
    let output = list.output().with_context(|| format!("run {list:?}"))?;
    if !output.status.success() {
        bail!("{list:?}: {}", output.status);
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// A program's files of cases.
fn split(program: &Program, tests: Vec<String>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for test in tests {
        let module = test.split_once("::").map_or(test.as_str(), |(module, _)| module);
        let has_many = OF_MODULES.contains(&program.name.as_str());
        let name = if has_many { module } else { program.name.as_str() };
        match cases.iter_mut().find(|case| case.name == name) {
            Some(case) => case.tests.push(test),
            None => {
                let (name, program) = (name.to_owned(), program.path.clone());
                cases.push(Case { name, program, tests: vec![test] });
            }
        }
    }
    cases
}

/// Builds the test program of this name.
pub(crate) fn build_one(prepared: &Prepared, name: &str) -> Result<PathBuf> {
    let built = programs(prepared.cargo(), Architecture::HOST, &["--test", name])?;
    built.into_iter().next().map(|program| program.path).with_context(|| format!("no test {name}"))
}

fn programs(
    mut cargo: Command,
    architecture: Architecture,
    targets: &[&str],
) -> Result<Vec<Program>> {
    cargo
        .args(["test", "--no-run", "--package", "prroute-tests"])
        .arg("--message-format=json-render-diagnostics")
        .args(targets);
    if architecture.is_foreign() {
        cargo.args(["--target", architecture.triple()]);
    }
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
fn executables(messages: &str) -> Vec<Program> {
    let is_test = |message: &Value| {
        message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test"))
    };
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(is_test)
        .filter_map(|message| {
            Some(Program {
                name: message["target"]["name"].as_str()?.to_owned(),
                path: message["executable"].as_str()?.into(),
            })
        })
        .collect()
}

/// Those that are wanted, as FILE or FILE::PART of a test's name; the usual ones when nothing is.
pub(crate) fn select(cases: &[Case], wanted: &[String]) -> Result<Vec<Case>> {
    let usual = USUAL.map(str::to_owned);
    let wanted = if wanted.is_empty() { &usual[..] } else { wanted };
    let mut selected: Vec<Case> = Vec::new();
    for want in wanted {
        let (name, part) = want.split_once("::").unwrap_or((want, ""));
        let Some(case) = cases.iter().find(|case| case.name == name) else {
            let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            bail!("no case {name}; there are {}", names.join(", "));
        };
        let tests: Vec<String> =
            case.tests.iter().filter(|test| test.contains(part)).cloned().collect();
        if tests.is_empty() {
            bail!("no test of {name} has {part} in its name");
        }
        match selected.iter_mut().find(|selected| selected.name == name) {
            Some(again) => again.tests.extend(tests),
            None => selected.push(Case { tests, ..case.clone() }),
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Case, Program, USUAL, executables, select, split};

    fn program(name: &str, tests: &[&str]) -> Vec<Case> {
        let program = Program { name: name.to_owned(), path: PathBuf::from("/t").join(name) };
        split(&program, tests.iter().map(|test| (*test).to_owned()).collect())
    }

    fn cases() -> Vec<Case> {
        let lab = ["size::large", "undo::a_file", "undo::deep::a_rule", "undo::b"];
        [program("lab", &lab), program("links", &["vlan::sizes", "hook"])].concat()
    }

    fn names(wanted: &[&str]) -> Vec<(String, Vec<String>)> {
        let wanted: Vec<String> = wanted.iter().map(|want| (*want).to_owned()).collect();
        let selected = select(&cases(), &wanted).unwrap();
        selected.into_iter().map(|case| (case.name, case.tests)).collect()
    }

    fn case(name: &str, tests: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), tests.iter().map(|test| (*test).to_owned()).collect())
    }

    #[test]
    fn integration_tests_are_programs_and_the_library_is_none() {
        let programs = executables(concat!(
            r#"{"target":{"name":"prroute_tests","kind":["lib"]},"executable":"/t/lib"}"#,
            "\n",
            r#"{"target":{"name":"lab","kind":["test"]},"executable":"/t/lab"}"#,
            "\nnot json\n",
            r#"{"target":{"name":"links","kind":["test"]},"executable":"/t/links"}"#,
        ));
        let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(names, ["lab", "links"]);
    }

    #[test]
    fn the_usual_cases_are_the_projects_own() {
        let root = crate::project::root().join("tests/cases");
        for name in USUAL.map(|case| case.split("::").next().unwrap()) {
            let modules = super::OF_MODULES.iter().map(|program| root.join(program));
            let is_there = modules.chain([root.clone()]).any(|place| {
                place.join(format!("{name}.rs")).is_file() || place.join(name).is_dir()
            });
            assert!(is_there, "{name}");
        }
    }

    #[test]
    fn modules_of_a_program_of_many_are_files_and_others_are_one_file() {
        let all: Vec<String> = cases().into_iter().map(|case| case.name).collect();
        assert_eq!(all, ["size", "undo", "links"]);
        assert_eq!(names(&["links"]), [case("links", &["vlan::sizes", "hook"])]);
    }

    #[test]
    fn a_file_or_some_of_its_tests_can_be_wanted() {
        assert_eq!(names(&["size"]), [case("size", &["size::large"])]);
        let parts = case("undo", &["undo::a_file", "undo::deep::a_rule"]);
        assert_eq!(names(&["undo::a_"]), std::slice::from_ref(&parts));
        assert_eq!(names(&["undo::a_file", "undo::a_rule"]), [parts]);
        assert_eq!(names(&["links::vlan"]), [case("links", &["vlan::sizes"])]);
        for nothing in ["nothing", "undo::c", "lab"] {
            assert!(select(&cases(), &[nothing.to_owned()]).is_err(), "{nothing}");
        }
    }
}
