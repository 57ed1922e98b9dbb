//! The usual life of prroute in a case: started, ended as a service manager does, undone by `down`.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Daemon, Instance, pins, state};
use crate::lab::Lab;
use crate::own_source::OwnSource;
use crate::snapshot::{Changes, Snapshot};
use crate::wait;

/// The kernel takes its time to free what nobody holds any more.
const GONE: Duration = Duration::from_secs(5);

/// An instance whose daemon runs.
#[derive(Debug)]
pub struct Running<'run, 'lab> {
    instance: &'run Instance<'lab>,
    pub daemon: Daemon,
}

impl<'lab> Deref for Running<'_, 'lab> {
    type Target = Instance<'lab>;

    fn deref(&self) -> &Instance<'lab> {
        self.instance
    }
}

impl Running<'_, '_> {
    /// What the daemon has printed so far.
    pub fn log(&self) -> String {
        self.daemon.process.log()
    }
}

impl<'lab> Instance<'lab> {
    /// Starts the daemon, runs `body`, ends the daemon, and undoes everything: nothing of prroute may
    /// be left. The daemon's log, to its end; an error of `body` shows what there is of it.
    ///
    /// Lives that go otherwise (killed, restarted, undone without a daemon) are spelled out in their
    /// cases.
    pub fn while_running(
        &self,
        body: impl FnOnce(&mut Running<'_, 'lab>) -> Result<()>,
    ) -> Result<String> {
        let mut running = Running { instance: self, daemon: self.run(&[])? };
        body(&mut running).with_context(|| format!("the daemon:\n{}", running.log()))?;
        let log = running.daemon.terminate()?;
        self.down()?;
        self.ensure_nothing_left()?;
        Ok(log)
    }

    /// Rules and routes carry the protocol number of prroute; pins and files its name.
    fn ensure_nothing_left(&self) -> Result<()> {
        for family in ["-4", "-6"] {
            for kind in [&["rule", "show"][..], &["route", "show", "table", "all"]] {
                // By number: an installed package gives the protocol a name.
                let list = self.namespace.run(&[&["ip", "-N", family], kind].concat())?;
                let ours: Vec<&str> = list.lines().filter(|l| l.contains("proto 213")).collect();
                ensure!(ours.is_empty(), "`down` left of {family} {kind:?}: {ours:#?}");
            }
        }
        for directory in [pins(&self.name), state(&self.name)] {
            ensure!(!directory.exists(), "`down` left {}", directory.display());
        }
        Ok(())
    }
}

impl Lab {
    /// `body` while prroute runs on the host without a configuration.
    pub fn with_prroute<'lab>(
        &'lab self,
        body: impl FnOnce(&mut Running<'_, 'lab>) -> Result<()>,
    ) -> Result<()> {
        self.prroute()?.while_running(body).map(drop)
    }

    /// Likewise, with a configuration.
    pub fn with_configuration<'lab>(
        &'lab self,
        text: &str,
        body: impl FnOnce(&mut Running<'_, 'lab>) -> Result<()>,
    ) -> Result<()> {
        self.prroute()?.configured(text)?.while_running(body).map(drop)
    }

    /// Likewise, with an `own-source`.
    pub fn with_own_source<'lab>(
        &'lab self,
        mode: OwnSource,
        body: impl FnOnce(&mut Running<'_, 'lab>) -> Result<()>,
    ) -> Result<()> {
        self.prroute()?.own_source(mode)?.while_running(body).map(drop)
    }

    /// Fails with what is not as in a snapshot of this lab. The kernel frees a link a moment after its
    /// last pin went.
    pub fn expect_unchanged_since(&self, before: &Snapshot) -> Result<()> {
        expect_unchanged_since(before, || self.snapshot())
    }
}

/// Likewise, of a namespace that is no lab's.
pub fn expect_unchanged_since(
    before: &Snapshot,
    take: impl Fn() -> Result<Snapshot>,
) -> Result<()> {
    let mut changes = Changes::default();
    let unchanged = wait::until("all is as before", GONE, || {
        changes = take()?.changes_since(before);
        Ok(changes.is_empty().then_some(()))
    });
    unchanged.with_context(|| format!("not as before:\n{changes}"))
}
