//! What was made: moved to one place, with sizes and checksums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::directory;
use crate::project::quietly;

/// The checksums of all that is handed out.
pub(crate) const LIST: &str = "SHA256SUMS";

/// Moves the files to where they are handed out, and writes their checksums there.
pub(crate) fn publish(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut published = Vec::new();
    let mut sums = Command::new("sha256sum");
    sums.current_dir(directory());
    for file in files {
        let name = file.file_name().context("a file has a name")?;
        let place = directory().join(name);
        fs::rename(file, &place).with_context(|| format!("move to {}", place.display()))?;
        sums.arg(name);
        published.push(place);
    }
    let list = directory().join(LIST);
    fs::write(&list, quietly(&mut sums)?).with_context(|| format!("write {}", list.display()))?;
    Ok(published)
}

/// A line that says how large a file is.
pub(crate) fn size(what: &str, file: &Path) -> Result<String> {
    let bytes = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
    Ok(format!("{bytes:>10} bytes  {what}"))
}
