//! Routes by BGP, with BIRD.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::mounts;
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(60);

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    process: Process,
    socket: PathBuf,
}

impl Bird {
    /// Starts with `/etc/bird/bird.conf` below this /etc, and waits until it has read that; what it opens beside it is
    /// below `scratch`.
    pub fn start(namespace: &Namespace, scratch: &Scratch, etc: &Path) -> Result<Self> {
        let path = |end: &str| scratch.path().join(format!("bird-{}.{end}", namespace.name()));
        let (socket, pid) = (path("ctl"), path("pid").display().to_string());
        let wrapper = mounts::wrapper(&[(etc, "/etc")])?;
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let opened = socket.display().to_string();
        let bird = ["bird", "-f", "-c", "/etc/bird/bird.conf", "-s", &opened, "-P", &pid];
        let mut process = namespace.spawn(&[&wrapper[..], &bird].concat())?;
        wait::until("BIRD has read its configuration", DEADLINE, || {
            process.check_running()?;
            let number = fs::read_to_string(&pid).unwrap_or_default();
            Ok((!number.is_empty()).then_some(()))
        })
        .with_context(|| process.log())?;
        Ok(Self { process, socket })
    }

    /// Where `birdc` reaches it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it, with its sessions and the routes that it made.
    pub fn stop(mut self) -> Result<()> {
        self.process.stop(Signal::SIGTERM, DEADLINE).map(drop)
    }
}
