//! Which files make up the configuration, and in which order: systemd's rules.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, Mistake};

const MAIN_FILE: &str = "prroute.toml";
const DROP_INS: &str = "conf.d";

/// The administrator's directory, then the vendor's.
const DIRECTORIES: [&str; 2] = ["/etc/prroute", "/usr/lib/prroute"];

/// Where configuration is looked for: directories, the most important one first.
#[derive(Clone, Debug)]
pub struct Directories(Vec<PathBuf>);

impl Default for Directories {
    fn default() -> Self {
        Self(DIRECTORIES.map(PathBuf::from).into())
    }
}

impl Directories {
    /// Other places than `/etc/prroute` and `/usr/lib/prroute`.
    pub fn new(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(directories.into_iter().collect())
    }

    /// The main file of the most important directory that has one, then the drop-ins of all
    /// directories by file name. Of several with the same name only the most important
    /// directory's counts; a link to `/dev/null` there leaves nothing of them.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let main = self.0.iter().map(|d| d.join(MAIN_FILE)).find(|path| is_there(path));
        let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for directory in self.0.iter().rev() {
            drop_ins.extend(list(&directory.join(DROP_INS))?);
        }
        Ok(main.into_iter().chain(drop_ins.into_values()).collect())
    }
}

/// A link that leads nowhere is there: reading it says so.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The `*.toml` files of a folder; none when there is no folder.
fn list(folder: &Path) -> Result<Vec<(OsString, PathBuf)>, Mistake> {
    let failed = |source| Mistake::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push((entry.file_name(), path));
        }
    }
    Ok(files)
}
