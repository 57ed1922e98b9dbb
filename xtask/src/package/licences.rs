//! The licences of the crates that are inside the program: the daemon's, and those of the BPF object.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{BPF_TARGET, Job, standard};
use crate::project::quietly;

/// What the BPF object is made of.
const OBJECT: (&str, &str) = (BPF_TARGET, "prroute-ebpf");

/// How the names begin of the files of a crate that hold a licence, and of those that hold what else is to be passed
/// on.
const LICENCES: [&str; 4] = ["license", "licence", "copying", "unlicense"];
const NOTICES: [&str; 2] = ["copyright", "notice"];

const INTRODUCTION: &str = "\
prroute is licensed as MIT OR Apache-2.0. The program also contains the crates below, the standard
library of Rust (MIT OR Apache-2.0) and, in the static program alone, the GNU C library (LGPL-2.1 or
later): whoever wants to link it with another C library builds it from prroute's source. Of a crate
that was published without a file of its licence, the standard text is here, with its authors' names.
";

/// A crate, and what it asks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
}

pub(crate) fn text(job: &Job<'_>) -> Result<String> {
    let mut crates = BTreeMap::new();
    for (target, root) in [(job.target, "prroute"), OBJECT] {
        let metadata = metadata(job, target)?;
        for package in inside(&metadata, root)? {
            if package["source"].is_null() {
                // prroute's own.
                continue;
            }
            let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            let about =
                Crate { name: word("name"), version: word("version"), licence: word("license") };
            let manifest = word("manifest_path");
            let folder = Path::new(&manifest).parent().context("no folder")?;
            let texts = texts(folder, &about.licence, &authors(package))
                .with_context(|| format!("the licence of {} {}", about.name, about.version))?;
            crates.insert(about, texts);
        }
    }
    Ok(write(&crates))
}

/// All that cargo knows of the workspace's crates, for a target.
pub(crate) fn metadata(job: &Job<'_>, target: &str) -> Result<Value> {
    let mut cargo = job.cargo();
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", target]);
    serde_json::from_slice(&quietly(&mut cargo)?).context("read what cargo metadata printed")
}

/// The packages that `root` is made of: its normal dependencies, theirs, and so on.
fn inside<'a>(metadata: &'a Value, root: &str) -> Result<Vec<&'a Value>> {
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let start = packages.iter().find(|(_, package)| package["name"] == root);
    let (start, _) = start.with_context(|| format!("cargo metadata knows no {root}"))?;
    let mut found = BTreeSet::new();
    let mut left = vec![*start];
    while let Some(id) = left.pop() {
        if !found.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        let normal = |dependency: &&Value| {
            list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
        };
        let below = list(&node["deps"]).iter().filter(normal);
        left.extend(below.filter_map(|dependency| dependency["pkg"].as_str()));
    }
    Ok(found.into_iter().filter_map(|id| packages.get(id).copied()).collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn authors(package: &Value) -> Vec<String> {
    list(&package["authors"]).iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// What a crate asks to be passed on: what it has in files about licences, and the standard text where none is a
/// licence.
fn texts(folder: &Path, licence: &str, authors: &[String]) -> Result<Vec<String>> {
    let (mut texts, notices) = (files(folder, &LICENCES)?, files(folder, &NOTICES)?);
    if texts.is_empty() {
        texts = standard::texts(licence, authors)?;
    }
    texts.extend(notices);
    texts.sort();
    Ok(texts)
}

/// The texts of the files whose names begin with one of these words.
fn files(folder: &Path, words: &[&str]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("read a directory")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && words.iter().any(|begin| name.starts_with(begin)) {
            let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned());
        }
    }
    Ok(texts)
}

/// First all crates with the names of their licences, then each text once.
fn write(crates: &BTreeMap<Crate, Vec<String>>) -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    out.push('\n');
    for (about, texts) in crates {
        out.push_str(&format!("  {} {}: {}\n", about.name, about.version, about.licence));
        for text in texts {
            users.entry(text).or_default().push(format!("{} {}", about.name, about.version));
        }
    }
    for (text, users) in &users {
        out.push_str(&format!("\n{}\n{}\n\n{text}\n", "-".repeat(80), users.join(", ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Crate, inside, texts, write};

    #[test]
    fn what_only_builds_or_tests_need_is_not_inside() {
        let dependency =
            |id: &str, kind: serde_json::Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let null = serde_json::Value::Null;
        let metadata = json!({
            "packages": [{"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"},
                         {"id": "c#1", "name": "c"}, {"id": "d#1", "name": "d"}],
            "resolve": {"nodes": [
                {"id": "a#1", "deps": [dependency("b#1", null.clone()), dependency("d#1", "build".into())]},
                {"id": "b#1", "deps": [dependency("c#1", null.clone()), dependency("a#1", null)]},
            ]},
        });
        let found = inside(&metadata, "a").unwrap();
        let names: Vec<_> = found.iter().map(|package| package["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(inside(&metadata, "e").is_err());
    }

    #[test]
    fn a_crate_without_a_file_of_its_licence_gets_the_standard_text() {
        let folder = std::env::temp_dir().join(format!("prroute-licences-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("NOTICE"), "Of A.").unwrap();
        let authors = ["A".to_owned()];
        let found = texts(&folder, "MIT", &authors).unwrap();
        assert!(found.len() == 2 && found.contains(&"Of A.".to_owned()), "{found:?}");
        assert!(found[0].starts_with("MIT License\n\nCopyright (c) A\n"), "{found:?}");
        assert!(texts(&folder, "ISC", &authors).is_err(), "its text is not known");
        std::fs::write(folder.join("LICENSE"), "Be good.").unwrap();
        assert_eq!(texts(&folder, "ISC", &authors).unwrap(), ["Be good.", "Of A."]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_text_that_several_share_is_there_once() {
        let of = |name: &str| Crate {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: "MIT".to_owned(),
        };
        let texts = || vec!["Be good.".to_owned()];
        let text = write(&BTreeMap::from([(of("a"), texts()), (of("b"), texts())]));
        assert_eq!(text.matches("Be good.").count(), 1);
        assert!(text.contains("a 1.0.0, b 1.0.0\n"), "{text}");
    }
}
