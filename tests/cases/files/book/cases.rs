//! Every test that a page names exists: a promise whose test is gone is kept by nobody.

use anyhow::{Context as _, Result};

use super::guarantees::promises;
use super::page::root;

/// A file of Rust: its modules from the root of the repository on, and the names of its functions.
#[derive(Debug)]
struct Source {
    modules: Vec<String>,
    functions: Vec<String>,
}

/// All files of Rust below `folder`.
fn sources(folder: &str, found: &mut Vec<Source>) -> Result<()> {
    for entry in std::fs::read_dir(root().join(folder)).with_context(|| folder.to_owned())? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            if !path.ends_with("/target") {
                sources(&path, found)?;
            }
        } else if let Some(name) = path.strip_suffix(".rs") {
            let text = std::fs::read_to_string(entry.path())?;
            let named = text.split("fn ").skip(1);
            let is_of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            let functions = named.map(|rest| rest.chars().take_while(is_of_name).collect());
            let modules = name.split('/').filter(|part| !["src", "mod"].contains(part));
            found.push(Source {
                modules: modules.map(str::to_owned).collect(),
                functions: functions.collect(),
            });
        }
    }
    Ok(())
}

/// `*` stands for any characters.
fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => name
            .strip_prefix(begin)
            .is_some_and(|rest| (0..=rest.len()).any(|skipped| is_like(end, &rest[skipped..]))),
    }
}

/// `module::case`, `module::tests::case`, `module` or `case`, with the names of folders before if somebody likes.
fn is_known(name: &str, sources: &[Source]) -> bool {
    let mut parts: Vec<&str> = name.split("::").collect();
    if sources.iter().any(|source| holds(&source.modules, &parts)) {
        return true;
    }
    let Some(case) = parts.pop() else { return false };
    if parts.last() == Some(&"tests") {
        parts.pop();
    }
    let files = sources.iter().filter(|source| holds(&source.modules, &parts));
    files.flat_map(|source| &source.functions).any(|function| is_like(case, function))
}

fn holds(modules: &[String], parts: &[&str]) -> bool {
    parts.is_empty() || modules.windows(parts.len()).any(|window| window == parts)
}

/// `a::{b, c}` is two names.
fn names(code: &str) -> Vec<String> {
    match code.strip_suffix('}').and_then(|rest| rest.split_once('{')) {
        Some((begin, ends)) => {
            ends.split(',').map(|end| format!("{begin}{}", end.trim())).collect()
        }
        None => vec![code.to_owned()],
    }
}

/// What stands between backticks.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The column `tests` of the promises.
fn of_promises() -> Result<Vec<String>> {
    let promises = promises()?;
    Ok(promises.iter().flat_map(|promise| codes(&promise.tests)).map(str::to_owned).collect())
}

/// The last lines of quick starts.
fn of_quick_starts() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("docs/quick-starts"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let is_page = path.file_name() != Some("README.md".as_ref());
        let tests = text.split_once("*Tests:").map(|(_, tests)| tests);
        assert!(!is_page || tests.is_some(), "{} names no tests", path.display());
        // The rules and files of a remark are no tests.
        let tests = codes(tests.unwrap_or_default()).filter(|code| !code.contains([' ', '/', '.']));
        found.extend(tests.map(str::to_owned));
    }
    Ok(found)
}

#[test]
fn every_test_that_a_page_names_exists() -> Result<()> {
    let mut sources = Vec::new();
    for folder in ["packaging", "prroute", "prroute-common", "prroute-ebpf", "tests", "xtask"] {
        self::sources(folder, &mut sources)?;
    }
    let named = [of_promises()?, of_quick_starts()?].concat();
    assert!(named.len() > 250, "{} names", named.len());
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let mut unknown = Vec::new();
    for name in named.iter().flat_map(|code| names(code)) {
        let is_file = root().join(&name).exists();
        let is_crate = manifest.contains(&format!("\n{name} = {{ path = "));
        // A command is what `commands` looks at, or another program's.
        let is_command = name.contains(' ');
        if !is_file && !is_crate && !is_command && !is_known(&name, &sources) {
            unknown.push(name);
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    Ok(())
}

#[test]
fn names_of_tests_are_told_apart() {
    let source = Source {
        modules: ["tests", "cases", "lab", "undo"].map(str::to_owned).into(),
        functions: ["down_restores_every_byte"].map(str::to_owned).into(),
    };
    let sources = [source];
    let known = ["undo", "lab::undo", "undo::down_*", "undo::*_byte", "undo::tests::down_*"];
    for name in known {
        assert!(is_known(name, &sources), "{name}");
    }
    for name in ["redo", "undo::up_*", "undo::down", "redo::down_*", "undo::lab"] {
        assert!(!is_known(name, &sources), "{name}");
    }
    assert_eq!(names("a::{b, c}"), ["a::b", "a::c"]);
}
