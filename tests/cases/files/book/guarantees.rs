//! What is promised: rows that are short enough to read, each with its limits and its tests.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::page::{Page, read, root};

const INDEX: &str = "docs/guarantees.md";
const FOLDER: &str = "docs/guarantees";
const COLUMNS: &str = "| promised | not promised | tests |";

/// The length of a promise, and of its limits, as a reader sees them.
const READABLE: usize = 310;

/// A row of `docs/guarantees/*.md`.
#[derive(Debug)]
pub(super) struct Promise {
    promised: String,
    not_promised: String,
    pub(super) tests: String,
}

impl Promise {
    fn parse(row: &str) -> Option<Self> {
        let cells: Vec<&str> = row.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
        let [promised, not_promised, tests] = cells[..] else { return None };
        let [promised, not_promised, tests] =
            [promised, not_promised, tests].map(|cell| cell.trim().to_owned());
        Some(Self { promised, not_promised, tests })
    }
}

/// The pages of promises, seen from the root of the repository.
fn pages() -> Result<BTreeSet<String>> {
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(root().join(FOLDER))? {
        pages.insert(format!("{FOLDER}/{}", entry?.file_name().to_string_lossy()));
    }
    Ok(pages)
}

/// The rows of all pages.
///
/// # Errors
///
/// If a table has other columns, or a row other cells.
pub(super) fn promises() -> Result<Vec<Promise>> {
    let mut promises = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        let lines = text.lines().filter(|line| line.starts_with('|'));
        for row in lines.filter(|line| *line != COLUMNS && *line != "|---|---|---|") {
            promises.push(Promise::parse(row).with_context(|| format!("{page}: {row}"))?);
        }
    }
    Ok(promises)
}

/// Text without the addresses of its links, which nobody reads.
fn as_read(cell: &str) -> String {
    let mut parts = cell.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |read, part| read + part.split_once(')').map_or("", |(_, rest)| rest))
}

#[test]
fn a_promise_is_short_enough_to_read_and_names_its_test() -> Result<()> {
    let promises = promises()?;
    assert!(promises.len() > 200, "{} promises", promises.len());
    for Promise { promised, not_promised, tests } in promises {
        assert!(!promised.is_empty(), "no promise: {not_promised}");
        assert!(tests.contains('`'), "no test: {promised}");
        for cell in [&promised, &not_promised] {
            let length = as_read(cell).chars().count();
            assert!(length <= READABLE, "{length} characters, more than {READABLE}: {cell}");
        }
    }
    Ok(())
}

#[test]
fn the_index_leads_to_every_page_of_promises() -> Result<()> {
    let links = Page::read(INDEX)?.links;
    for page in pages()? {
        let link = page.trim_start_matches("docs/");
        assert!(links.iter().any(|named| named == link), "{INDEX} does not lead to {page}");
    }
    Ok(())
}

#[test]
fn a_row_has_three_cells() {
    let promise = Promise::parse("| a [b](c.md#d) e | | `f` |").unwrap();
    assert_eq!(as_read(&promise.promised), "a [b e");
    assert_eq!((promise.not_promised.as_str(), promise.tests.as_str()), ("", "`f`"));
    assert!(Promise::parse("| a | `f` |").is_none());
}
