//! Tasks that make network namespaces and load BPF programs need root.

use std::fmt;

/// Exit code of a task that lacks the permission it needs, the same as prroute's.
pub(crate) const PERMISSION_DENIED: u8 = 4;

/// The task needs root and does not have it.
#[derive(Debug)]
pub(crate) struct NotRoot {
    pub(crate) task: &'static str,
    pub(crate) why: &'static str,
}

impl fmt::Display for NotRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cargo xtask {task} needs root: {why}\n\
             try: sudo --preserve-env=HOME env \"PATH=$PATH\" cargo xtask {task}",
            task = self.task,
            why = self.why
        )
    }
}

impl std::error::Error for NotRoot {}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Fails unless the effective user is root.
pub(crate) fn require(task: &'static str, why: &'static str) -> Result<(), NotRoot> {
    if is_root() { Ok(()) } else { Err(NotRoot { task, why }) }
}
