//! The pages of `docs/reference`, which are written from the program: what is committed is what it says now.

mod commands;
mod configuration;
mod json;

use anyhow::{Context as _, Result};

use super::page::root;

/// Set, it has the pages written anew.
const WRITE: &str = "PRROUTE_WRITE_REFERENCE";

/// Compares a page, or writes it.
fn expect_page(name: &str, now: &str) -> Result<()> {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, now).with_context(|| format!("write {}", path.display()))?;
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = page.lines().zip(now.lines()).find(|(page, now)| page != now);
    assert!(
        page == now,
        "docs/reference/{name} is not what the program says now: {changed:?}. Write it anew: \
         {WRITE}=1 cargo test -p prroute-tests --test files reference"
    );
    Ok(())
}

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}
