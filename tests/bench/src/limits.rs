//! Room for the sockets of the largest workload.

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;

/// A thousand clients and a thousand servers on each of five hosts, and all else.
const FILES: libc::rlim_t = 16_384;

/// Lets this process open as many files as it needs.
pub(crate) fn raise() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live structure.
    Errno::result(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })
        .context("ask how many files may be open")?;
    limit.rlim_cur = limit.rlim_cur.max(FILES);
    limit.rlim_max = limit.rlim_max.max(FILES);
    // SAFETY: as above.
    Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
        .map(drop)
        .with_context(|| format!("allow {FILES} open files"))
}
