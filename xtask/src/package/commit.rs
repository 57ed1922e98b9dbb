//! When the sources were committed: the time of every file in a package.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::{self, quietly};

#[derive(Debug)]
pub(crate) struct Commit {
    /// Since 1970: `SOURCE_DATE_EPOCH`, where it is set.
    pub(crate) seconds: u64,
    /// As 2026-01-31, in UTC.
    pub(crate) date: String,
}

impl Commit {
    pub(crate) fn of_this_tree() -> Result<Self> {
        let seconds = match env::var("SOURCE_DATE_EPOCH") {
            Ok(given) => given,
            Err(_) => text(
                Command::new("git")
                    .args(["show", "--no-patch", "--format=%ct", "HEAD"])
                    .current_dir(project::root()),
            )
            .context("the time of the commit, which SOURCE_DATE_EPOCH can give instead")?,
        };
        let seconds = seconds.parse().with_context(|| format!("{seconds:?} are no seconds"))?;
        let at = format!("--date=@{seconds}");
        let date = text(Command::new("date").args(["--utc", &at, "+%Y-%m-%d"]))?;
        Ok(Self { seconds, date })
    }
}

fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&quietly(command)?).trim().to_owned())
}
