//! `/run/prroute/NAME/`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::instance::Instance;
use crate::runtime::memory::Memory;

/// An operation below the run directory that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct RuntimeError {
    pub operation: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RuntimeError {
    let path = path.to_owned();
    move |source| RuntimeError { operation, path, source }
}

#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    pub fn of(instance: &Instance) -> Self {
        Self { path: Path::new("/run/prroute").join(instance.name()) }
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn memory_path(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn create(&self) -> Result<(), RuntimeError> {
        fs::create_dir_all(&self.path).map_err(failed("create", &self.path))
    }

    /// What the last daemon remembered; `None` when there was none, or it was undone.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not what this version writes.
    pub fn load(&self) -> Result<Option<Memory>, RuntimeError> {
        let path = self.memory_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| failed("parse", &path)(error.into()))
    }

    /// Writes the memory: a reader sees the old one or the new one, whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, memory: &Memory) -> Result<(), RuntimeError> {
        let path = self.memory_path();
        let new = self.path.join("state.json.new");
        let text = serde_json::to_vec_pretty(memory)
            .map_err(|error| failed("encode", &path)(error.into()))?;
        let mut file = fs::File::create(&new).map_err(failed("create", &new))?;
        file.write_all(&text).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("rename to", &path))
    }

    /// Removes the instance's directory, and the common parent with the last instance's.
    ///
    /// # Errors
    ///
    /// When something in it cannot be removed.
    pub fn remove(&self) -> Result<(), RuntimeError> {
        match fs::remove_dir_all(&self.path) {
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
