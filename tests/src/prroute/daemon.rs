//! A daemon and what it tells its service manager.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::{START, STOP};
use crate::process::Process;
use crate::wait;

/// A running daemon: killed when dropped, which leaves its datapath.
#[derive(Debug)]
pub struct Daemon {
    pub process: Process,
    socket: UnixDatagram,
    path: PathBuf,
    said: String,
}

impl Daemon {
    /// Starts `command`, with a socket at `path` as its service manager; `keep` lets it outlive us.
    pub(super) fn spawn(mut command: Command, path: PathBuf, keep: bool) -> Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
        let socket =
            UnixDatagram::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        socket.set_nonblocking(true).context("make the notify socket non-blocking")?;
        command.env("NOTIFY_SOCKET", &path);
        let process =
            if keep { Process::spawn_kept(&mut command) } else { Process::spawn(&mut command) };
        Ok(Self { process: process?, socket, path, said: String::new() })
    }

    /// Waits for `READY=1`.
    pub fn wait_ready(&mut self) -> Result<()> {
        let ready = wait::until("READY=1", START, || {
            self.listen()?;
            if self.said.lines().any(|line| line == "READY=1") {
                return Ok(Some(()));
            }
            self.process.check_running()?;
            Ok(None)
        });
        ready.with_context(|| format!("{}:\n{}", self.process.command(), self.process.log()))
    }

    /// Everything it told the service manager so far.
    pub fn said(&mut self) -> Result<&str> {
        self.listen()?;
        Ok(&self.said)
    }

    /// Ends it as a service manager does; it must exit with code 0.
    pub fn terminate(mut self) -> Result<String> {
        let status = self.process.stop(Signal::SIGTERM, STOP)?;
        let log = self.process.finished_log(STOP)?;
        ensure!(status.success(), "{status} after SIGTERM:\n{log}");
        Ok(log)
    }

    /// Kills it with SIGKILL; its log.
    pub fn kill(mut self) -> Result<String> {
        self.process.kill()?;
        self.process.finished_log(STOP)
    }

    fn listen(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
                    self.said.push('\n');
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read the notify socket"),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An assertion that failed beside it says nothing of it.
        if std::thread::panicking() {
            eprintln!("the daemon:\n{}", self.process.log());
        }
        // The scratch directory is removed as a whole anyway.
        drop(std::fs::remove_file(&self.path));
    }
}
