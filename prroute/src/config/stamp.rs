//! Whether files of the configuration are still as they were when they were read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Directories};

/// A file, and what changes when somebody writes to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    pub path: PathBuf,
    /// Bytes.
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl FileStamp {
    /// A file that is not there has none.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let modified = u64::try_from(modified.as_nanos()).ok()?;
        Some(Self { path: path.to_owned(), size: metadata.len(), modified })
    }

    /// Of the files that [`super::Config::load`] reads.
    ///
    /// # Errors
    ///
    /// When a folder of theirs cannot be listed.
    pub fn of_configuration(file: Option<&Path>) -> Result<Vec<Self>, ConfigError> {
        let files = match file {
            Some(file) => vec![file.to_owned()],
            None => Directories::default().files()?,
        };
        Ok(files.iter().filter_map(|path| Self::of(path)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_to_has_another_stamp() {
        let file = std::env::temp_dir().join(format!("prroute-stamp-{}.toml", std::process::id()));
        let stamps = || FileStamp::of_configuration(Some(&file)).unwrap();
        assert_eq!(stamps(), []);
        fs::write(&file, "flows = 4096\n").unwrap();
        let first = stamps();
        assert_eq!(first, stamps());
        fs::write(&file, "flows = 40960\n").unwrap();
        let second = stamps();
        fs::remove_file(&file).unwrap();
        assert_ne!(first, second);
    }
}
