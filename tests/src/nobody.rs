//! An ordinary user.

use anyhow::{Result, bail};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// Who it is.
pub const ID: u32 = 65534;

/// Runs `task` on a thread that the kernel treats like an ordinary user's in everything about
/// files. What it opens stays open.
pub fn as_nobody<T: Send>(task: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setfsgid(Gid::from_raw(ID));
            setfsuid(Uid::from_raw(ID));
            task()
        });
        thread.join().unwrap_or_else(|_| bail!("the thread of an ordinary user panicked"))
    })
}
