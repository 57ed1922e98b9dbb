//! prroute's configuration file in the guest.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Where the daemon reads it.
pub(crate) const PATH: &str = "/etc/prroute/prroute.toml";

/// A configuration file, gone when dropped.
pub(crate) struct Configuration;

impl Configuration {
    pub(crate) fn write(text: &str) -> Result<Self> {
        let directory = Path::new(PATH).parent().context("no directory")?;
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        fs::write(PATH, text).with_context(|| format!("write {PATH}"))?;
        Ok(Self)
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(PATH) {
            eprintln!("remove {PATH}: {error}");
        }
    }
}
