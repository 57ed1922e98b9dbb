//! `prroute-man DIRECTORY DATE` writes the manual pages, with this date, into a directory that exists.

use std::path::Path;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, date] = &arguments[..] else { bail!("usage: prroute-man DIRECTORY DATE") };
    for page in prroute_man::pages(date) {
        let path = Path::new(directory).join(&page.file);
        std::fs::write(&path, page.text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
