//! The book's table of contents.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::page::Page;

const SUMMARY: &str = "docs/SUMMARY.md";

#[test]
fn the_summary_has_every_page_of_the_book_once() -> Result<()> {
    let mut named = BTreeSet::new();
    for link in Page::read(SUMMARY)?.links {
        assert!(named.insert(format!("docs/{link}")), "{link} is in {SUMMARY} twice");
    }
    let pages = Page::all()?.into_iter().filter(Page::is_of_the_book).map(|page| page.path);
    let pages: BTreeSet<String> = pages.filter(|path| path != SUMMARY).collect();
    let missing: Vec<_> = pages.difference(&named).collect();
    assert!(missing.is_empty(), "not in {SUMMARY}: {missing:?}");
    let unknown: Vec<_> = named.difference(&pages).collect();
    assert!(unknown.is_empty(), "in {SUMMARY} alone: {unknown:?}");
    Ok(())
}

/// An ADR is found by its number: file, heading and table of contents have the same one.
#[test]
fn a_decision_has_its_number_everywhere() -> Result<()> {
    let pages = Page::all()?;
    let contents = std::fs::read_to_string(super::page::root().join(SUMMARY))?;
    let decisions = pages.iter().filter_map(|page| {
        let (number, _) = page.path.strip_prefix("docs/adr/")?.split_once('-')?;
        Some((number, page))
    });
    let mut count = 0;
    for (number, page) in decisions {
        count += 1;
        let number: u32 = number.parse().with_context(|| page.path.clone())?;
        let begins = format!("{number}-");
        assert!(page.anchors.iter().any(|anchor| anchor.starts_with(&begins)), "{}", page.path);
        let file = page.path.trim_start_matches("docs/");
        let line = contents.lines().find(|line| line.contains(file)).context("not named")?;
        assert!(line.trim().starts_with(&format!("- [{number}. ")), "{line}");
    }
    assert!(count > 20, "{count} decisions");
    Ok(())
}
