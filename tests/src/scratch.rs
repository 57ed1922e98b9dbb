//! A directory of one lab, for configuration files, sockets and logs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command;

/// Removed with everything in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Creates `<temporary directory>/NAME`; `keep` leaves it behind.
    pub fn create(name: &str, keep: bool) -> Result<Self> {
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, keep })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file below the directory, and creates the directories it needs.
    pub fn write(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("create {}", parent.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// Copies a program to where it can be run, with the directories that it needs. Another process does it: a file
/// cannot be run while anybody has it open for writing, and what this process opens, a program that another
/// test is about to start has too, from fork(2) to execve(2).
pub fn install(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    command::run(&["install", "-D", "-m", "0755", &from, &to]).map(drop)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("remove {}: {error}", self.path.display());
        }
    }
}
