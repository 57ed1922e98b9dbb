//! `/run/prroute/NAME/` and `/var/lib/prroute/NAME/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::instance::Instance;
use crate::namespace::NetworkNamespace;
use crate::runtime::files::{self, RuntimeError, failed};
use crate::runtime::format::Unusable;
use crate::runtime::ids::IdFile;
use crate::runtime::journal::Journal;
use crate::runtime::origin::Origin;
use crate::runtime::report::DaemonReport;
use crate::state::remembered::RememberedId;

/// What is in a file's place.
#[derive(Debug)]
pub enum Found<T> {
    Nothing,
    Usable(T),
    Unusable(Unusable),
}

impl<T> Found<T> {
    fn from(
        read: Result<Option<Vec<u8>>, Unusable>,
        parse: impl FnOnce(&[u8]) -> Result<T, Unusable>,
    ) -> Self {
        match read.and_then(|text| text.map(|text| parse(&text)).transpose()) {
            Ok(None) => Self::Nothing,
            Ok(Some(value)) => Self::Usable(value),
            Err(why) => Self::Unusable(why),
        }
    }

    pub fn usable(self) -> Option<T> {
        match self {
            Self::Usable(value) => Some(value),
            Self::Nothing | Self::Unusable(_) => None,
        }
    }
}

/// With a directory for each instance.
const RUN: &str = "/run/prroute";

#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// What outlives a boot.
    lasting: PathBuf,
}

impl RunDirectory {
    pub fn of(instance: &Instance) -> Self {
        Self::below(Path::new(RUN), Path::new("/var/lib/prroute"), instance)
    }

    /// Those that have a directory, whether or not they run.
    pub(crate) fn instances() -> Vec<Instance> {
        let entries = fs::read_dir(RUN).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    pub(super) fn below(run: &Path, lib: &Path, instance: &Instance) -> Self {
        Self { path: run.join(instance.name()), lasting: lib.join(instance.name()) }
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(super) fn journal_path(&self) -> PathBuf {
        self.path.join("journal.json")
    }

    pub(super) fn report_path(&self) -> PathBuf {
        self.path.join("report.json")
    }

    pub(super) fn ids_path(&self) -> PathBuf {
        self.lasting.join("ids.json")
    }

    /// # Errors
    ///
    /// When the directory below /run cannot be made.
    pub fn create(&self) -> Result<(), RuntimeError> {
        fs::create_dir_all(&self.path).map_err(failed("create", &self.path))
    }

    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// When a daemon that ended lived last, to within seconds.
    pub fn last_alive(&self) -> Option<SystemTime> {
        fs::metadata(self.lock_path()).ok()?.modified().ok()
    }

    /// What is to be undone, as far as it was written down.
    pub fn read_journal(&self) -> Found<Journal> {
        let here = Origin::current();
        Found::from(files::read(&self.journal_path()), |text| Journal::parse(text, &here))
    }

    /// The other network namespace that the journal is of.
    pub fn recorded_elsewhere(&self) -> Option<NetworkNamespace> {
        match self.read_journal() {
            Found::Unusable(Unusable::OtherNamespace(namespace)) => namespace,
            _ => None,
        }
    }

    /// What the last daemon told.
    pub fn read_report(&self) -> Found<DaemonReport> {
        let here = Origin::current();
        Found::from(files::read(&self.report_path()), |text| DaemonReport::parse(text, &here))
    }

    /// Which device has which id.
    pub fn read_ids(&self) -> Found<Vec<RememberedId>> {
        Found::from(files::read(&self.ids_path()), IdFile::parse)
    }

    /// Removes the instance's directory below /run, and the common parent with the last instance's.
    ///
    /// # Errors
    ///
    /// When something in it cannot be removed.
    pub fn remove(&self) -> Result<(), RuntimeError> {
        match fs::remove_dir_all(&self.path) {
            // Something is mounted there; it is empty by now.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &self.path)(error));
            }
            _ => {}
        }
        let Some(parent) = self.path.parent() else { return Ok(()) };
        match fs::remove_dir(parent) {
            // Another instance lives there; or the directory is the service manager's.
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::ResourceBusy
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Err(failed("remove", parent)(error))
            }
            _ => Ok(()),
        }
    }
}
