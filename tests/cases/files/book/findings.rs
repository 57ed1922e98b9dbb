//! The page of findings, against the kinds that the program has.

use std::collections::BTreeSet;

use ::prroute::state::findings::Kind;
use anyhow::Result;

use super::page::Page;

const PAGE: &str = "docs/findings.md";

/// Leads to the page's title.
const TITLE: &str = "findings";

fn kinds() -> BTreeSet<String> {
    Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect()
}

fn compare(found: &BTreeSet<String>, what: &str) {
    let kinds = kinds();
    let missing: Vec<_> = kinds.difference(found).collect();
    assert!(missing.is_empty(), "{PAGE} has no {what} for {missing:?}");
    let unknown: Vec<_> = found.difference(&kinds).collect();
    assert!(unknown.is_empty(), "{PAGE} has a {what} for what is no finding: {unknown:?}");
}

#[test]
fn the_page_has_a_section_for_each_kind_of_finding_and_for_nothing_else() -> Result<()> {
    let mut sections = Page::read(PAGE)?.anchors;
    assert!(sections.remove(TITLE), "{PAGE} has another title");
    compare(&sections, "section");
    Ok(())
}

#[test]
fn its_table_leads_to_each_section() -> Result<()> {
    let links = Page::read(PAGE)?.links;
    let own = links.iter().filter_map(|link| link.strip_prefix('#')).filter(|link| *link != TITLE);
    compare(&own.map(str::to_owned).collect(), "link");
    Ok(())
}
