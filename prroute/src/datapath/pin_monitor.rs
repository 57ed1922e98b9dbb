//! Hearing that pins are removed or replaced: bpffs announces it by inotify, as other file systems do.
//! That a link was detached is announced nowhere.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// Who removes a directory removes one pin after the other: all of it is one piece of news.
const QUIET: Duration = Duration::from_millis(100);

struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Watches one directory, which may come and go.
#[expect(missing_debug_implementations, reason = "an inotify descriptor has nothing to show")]
pub struct PinMonitor {
    fd: AsyncFd<Descriptor>,
    /// When something was heard first that was not told yet.
    heard: Option<Instant>,
}

impl PinMonitor {
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; the user has as many of them as `fs.inotify` allows.
    pub fn open() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // SAFETY: the instance owns its descriptor, returns the same one from every call, and cannot be
        // taken apart or replaced while the AsyncFd, which owns it, hands out shared references.
        let fd = unsafe { AsyncFd::register(Descriptor(inotify)) }?;
        Ok(Self { fd, heard: None })
    }

    /// Watches this directory from now on, also when it is another one of the same name. Tells whether
    /// it does.
    pub fn watch(&self, directory: &Path) -> bool {
        let gone = AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.fd.get_ref().0.add_watch(directory, gone).is_ok()
    }

    /// Waits until pins may be gone. Can be cancelled without loss.
    ///
    /// # Errors
    ///
    /// The descriptor failed.
    pub async fn next(&mut self) -> io::Result<()> {
        if self.heard.is_none() {
            self.fd.async_io(Interest::READABLE, read).await?;
        }
        let heard = *self.heard.get_or_insert_with(Instant::now);
        sleep_until(heard + QUIET).await;
        // What came meanwhile is part of it.
        while read(self.fd.get_ref()).is_ok() {}
        self.heard = None;
        Ok(())
    }
}

fn read(inotify: &Descriptor) -> io::Result<()> {
    match inotify.0.read_events() {
        Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        other => Ok(other.map(drop)?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_removed_is_heard_once() {
        let name = format!("prroute-pin-monitor-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        for name in ["a", "b"] {
            fs::write(directory.join(name), "").unwrap();
        }
        let mut monitor = PinMonitor::open().unwrap();
        assert!(monitor.watch(&directory));
        fs::remove_dir_all(&directory).unwrap();
        tokio::time::timeout(Duration::from_secs(10), monitor.next()).await.unwrap().unwrap();
        assert!(read(monitor.fd.get_ref()).is_err(), "there is nothing more to be told");
        assert!(!monitor.watch(&directory), "it is gone");
    }
}
