//! # Report
//!
//! Results as one page for people, which needs nothing beside itself, and one file for programs.
//!
//! ```text
//!   Results -> words (verdict), tables, charts (scales -> marks) -> index.html
//!           -> results.json
//! ```

pub(crate) mod axis;
mod comparison;
pub(crate) mod contestant;
mod differences;
mod machine;
mod measurement;
mod memory;
pub(crate) mod number;
pub(crate) mod page;
mod reading;
pub(crate) mod series;
pub(crate) mod targets;
mod verdict;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::results::Results;

/// The results beside the page, which has a link to them.
const JSON: &str = "results.json";

/// Writes `index.html` and `results.json` into `directory`; where the page is.
pub(crate) fn write(results: &Results, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)
        .with_context(|| format!("make the directory {}", directory.display()))?;
    write_json(results, &directory.join(JSON))?;
    let page = directory.join("index.html");
    fs::write(&page, page::page(results).into_string())
        .with_context(|| format!("write {}", page.display()))?;
    Ok(page)
}

/// Writes everything that was found, the raw samples included.
pub(crate) fn write_json(results: &Results, path: &Path) -> Result<()> {
    let write = || -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut file, results)?;
        file.write_all(b"\n")?;
        Ok(file.flush()?)
    };
    write().with_context(|| format!("write {}", path.display()))
}
