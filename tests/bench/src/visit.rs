//! Another network namespace, for as long as a task takes.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use prroute_tests::netns::Namespace;

/// A namespace, and the way back: opened once, as it is part of what is timed.
#[derive(Debug)]
pub(crate) struct Visit {
    home: File,
    there: File,
}

impl Visit {
    pub(crate) fn to(namespace: &Namespace) -> Result<Self> {
        let open =
            |path: &Path| File::open(path).with_context(|| format!("open {}", path.display()));
        Ok(Self {
            home: open(Path::new("/proc/thread-self/ns/net"))?,
            there: open(&namespace.path())?,
        })
    }

    /// Runs `task` on this thread, with new sockets there.
    pub(crate) fn run<T>(&self, task: impl FnOnce() -> Result<T>) -> Result<T> {
        setns(&self.there, CloneFlags::CLONE_NEWNET).context("enter a network namespace")?;
        let result = task();
        setns(&self.home, CloneFlags::CLONE_NEWNET).context("leave a network namespace")?;
        result
    }
}
