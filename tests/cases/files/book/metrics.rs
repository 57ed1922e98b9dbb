//! The page of metrics, against what `prroute metrics` prints and the reasons that packets are counted by.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use prroute_common::reason::Reason;

use super::page::read;

const PAGE: &str = "docs/metrics.md";

/// All of them, as a test of the program has them printed.
const PRINTED: &str = "prroute/tests/formats/metrics.txt";

/// What stands before labels, and before the figure.
fn name(sample: &str) -> String {
    sample.split(['{', ' ', '`']).next().unwrap_or_default().to_owned()
}

#[test]
fn the_page_explains_each_metric_and_no_other() -> Result<()> {
    let (page, printed) = (read(PAGE)?, read(PRINTED)?);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<String> =
        rows.map(name).filter(|name| name.starts_with("prroute_")).collect();
    let samples = printed.lines().filter(|line| !line.starts_with('#'));
    let printed: BTreeSet<String> = samples.map(name).collect();
    assert!(printed.len() > 15, "{printed:?}");
    assert_eq!(explained, printed);
    Ok(())
}

#[test]
fn the_page_explains_each_reason_as_the_program_does() -> Result<()> {
    let page = read(PAGE)?;
    let (_, table) = page.split_once("\n## Reasons\n").context("no reasons")?;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |reason: &Reason| format!("| `{}` | {} |", reason.name(), reason.describe().trim());
    let reasons: Vec<String> = Reason::ALL.iter().map(row).collect();
    assert_eq!(rows, reasons);
    Ok(())
}
