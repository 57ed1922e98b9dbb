//! Journal and report on the disk: written when they change, or when somebody damaged them. A full
//! or read-only file system is said once, and once more when it is over.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use serde::Serialize;

use crate::runtime::directory::RunDirectory;
use crate::runtime::files::{self, Durability, RuntimeError, failed};
use crate::runtime::ids::IdFile;
use crate::runtime::journal::Journal;
use crate::runtime::report::DaemonReport;
use crate::state::remembered::RememberedId;

/// Everybody may read what an instance does.
const MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

#[derive(Debug)]
pub struct Store {
    journal: Slot,
    report: Slot,
    ids: Slot,
    lock: PathBuf,
}

/// One file.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    durability: Durability,
    /// What it means that it cannot be written.
    consequence: &'static str,
    written: Option<Written>,
    failing: bool,
}

/// What this process wrote last: a file that differs was changed by somebody else.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    hash: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Store {
    pub fn of(directory: &RunDirectory) -> Self {
        let slot = |path, durability, consequence| Slot {
            path,
            durability,
            consequence,
            written: None,
            failing: false,
        };
        Self {
            lock: directory.lock_path(),
            journal: slot(
                directory.journal_path(),
                Durability::Synced,
                "until this works, no strict rp_filter is loosened, because its old value must be \
                 written first; all else goes on",
            ),
            report: slot(
                directory.report_path(),
                Durability::Cached,
                "until this works, `prroute status` and `prroute reload` see an older report; all \
                 else goes on",
            ),
            ids: slot(
                directory.ids_path(),
                Durability::Synced,
                "until this works, tables may get other numbers at the next boot; all else goes on",
            ),
        }
    }

    /// Whether the journal is on the disk when this returns.
    pub fn save_journal(&mut self, journal: &Journal) -> bool {
        self.journal.save(journal)
    }

    /// Likewise, without a word in the log.
    ///
    /// # Errors
    ///
    /// Why it is not on the disk.
    pub fn write_journal(&mut self, journal: &Journal) -> Result<(), RuntimeError> {
        self.journal.write(journal)
    }

    pub fn save_report(&mut self, report: &DaemonReport) {
        self.report.save(report);
    }

    /// Which device has which id. Whether it is on the disk.
    pub fn save_ids(&mut self, ids: &[RememberedId]) -> bool {
        let directory = self.ids.path.parent().unwrap_or(Path::new("/"));
        // A directory that cannot be made is what the file then lacks.
        if !directory.exists() && fs::create_dir_all(directory).is_ok() {
            for made in directory.ancestors().take(2) {
                drop(fs::set_permissions(made, fs::Permissions::from_mode(DIRECTORY_MODE)));
            }
        }
        self.ids.save(&IdFile::of(ids))
    }

    /// The lock's time of change says when the daemon lived last. By name: to close a file descriptor
    /// of the lock would release it.
    pub fn note_alive(&self) {
        let now = TimeSpec::UTIME_NOW;
        let noted = utimensat(AT_FDCWD, &self.lock, &now, &now, UtimensatFlags::NoFollowSymlink);
        if let Err(errno) = noted {
            tracing::debug!("note in {} that the daemon lives: {errno}", self.lock.display());
        }
    }

    /// Whether journal or report are to be written and could not be so far. Ids are not waited for:
    /// a host may have no place that outlives a boot.
    pub fn is_failing(&self) -> bool {
        self.journal.failing || self.report.failing
    }
}

impl Slot {
    fn save(&mut self, value: &impl Serialize) -> bool {
        match self.write(value) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(
                        event = "file-written",
                        "{} can be written again",
                        self.path.display()
                    );
                }
                true
            }
            Err(error) => {
                self.written = None;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(event = "file-not-written", "{error}; {}", self.consequence);
                }
                false
            }
        }
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), RuntimeError> {
        let encoded = serde_json::to_vec_pretty(value);
        let text = encoded.map_err(|error| failed("encode", &self.path)(error.into()))?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.written.is_some() && self.written == Written::look(&self.path, hash) {
            return Ok(());
        }
        files::write(&self.path, &text, MODE, self.durability)?;
        self.written = Written::look(&self.path, hash);
        Ok(())
    }
}

impl Written {
    fn look(path: &Path, hash: u64) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        Some(Self {
            hash,
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}
