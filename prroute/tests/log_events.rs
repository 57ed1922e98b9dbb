//! Every line that an operator may read has a name for programs that read the journal, and
//! `docs/journal.md` says what each name means.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry of it").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The code outside tests.
fn code() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths = sources(&root).into_iter().filter(|path| !path.ends_with("tests.rs"));
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path, code)
    };
    paths.map(text).collect()
}

/// What stands between `before` and the next quotation mark, everywhere.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.map(|part| part.split('"').next().unwrap_or_default()).collect()
}

#[test]
fn every_line_for_an_operator_has_a_name() {
    for (path, code) in code() {
        for level in ["info", "warn", "error"] {
            for call in code.split(&format!("tracing::{level}!(")).skip(1) {
                let call = call.split(';').next().unwrap_or_default().trim_start();
                assert!(call.starts_with("event"), "{}: {call}", path.display());
            }
        }
    }
}

#[test]
fn every_name_is_documented_and_no_other() {
    let code = code();
    let names: BTreeSet<&str> = code
        .iter()
        // A name stands behind a space or a bracket.
        .flat_map(|(_, code)| {
            ["event = \"", " EventName(\"", "(EventName(\""]
                .map(|before| quoted(code, before))
                .concat()
        })
        .collect();
    assert!(names.len() > 30 && names.contains("uplink-down"), "{names:?}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/journal.md");
    let docs = fs::read_to_string(docs).expect("docs/journal.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented =
        rows.filter_map(|row| row.split('`').next()).filter(|it| !it.starts_with("PRROUTE"));
    assert_eq!(documented.collect::<BTreeSet<_>>(), names);
}
