//! The README says of no system that it was tested where the page about kernels says that it was not run.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The cells of a table's rows, of which this is the heading.
fn rows(page: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {page}"))?;
    let rows = text.lines().skip_while(|line| *line != heading).skip(2);
    let rows = rows.map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<String>> =
        rows.map(|row| row.split(" | ").map(str::to_owned).collect()).collect();
    ensure!(rows.len() > 3, "{page}: {heading}");
    Ok(rows)
}

/// Name and version of each system in a list: of "RHEL 9, Debian 11 and 13 (5.10)" three.
fn systems(list: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    let mut is_complete = false;
    for word in list.split([' ', ',']).filter(|word| !word.is_empty()) {
        if word.starts_with('(') {
            break;
        }
        let is_version = word.starts_with(|c: char| c.is_ascii_digit());
        if is_version {
            found.push((name.join(" "), word.to_owned()));
            is_complete = true;
        } else if word != "and" {
            if is_complete {
                name.clear();
                is_complete = false;
            }
            name.push(word);
        }
    }
    found
}

#[test]
fn a_system_that_was_not_run_is_nowhere_called_tested() -> Result<()> {
    let not_run = rows("docs/kernel-support.md", "| kernel | expected | because |")?;
    let not_run: Vec<_> = not_run.iter().flat_map(|row| systems(&row[0])).collect();
    for system in [("Debian", "13"), ("Amazon Linux", "2"), ("RHEL", "9")] {
        let known = |(name, version): &(String, String)| (&name[..], &version[..]) == system;
        ensure!(not_run.iter().any(known), "{not_run:?}");
    }
    for row in rows("README.md", "| system | kernel | tested |")? {
        let named = systems(&row[0]);
        let untested = named.iter().find(|system| not_run.contains(system));
        if let Some(untested) = untested {
            ensure!(row[2].starts_with("not run"), "{untested:?} was not run: {row:?}");
        }
    }
    Ok(())
}
