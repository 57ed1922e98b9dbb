//! Whether an instance belongs to the network namespace that a command runs in: each asks before it
//! does anything.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use nix::unistd::Pid;

use crate::cmd::namespaces;
use crate::datapath::{DatapathError, Pins};
use crate::instance::Instance;
use crate::namespace::NetworkNamespace;
use crate::runtime::{InstanceLock, RunDirectory};

/// What a command finds.
pub(super) struct Found {
    /// The one that it runs in.
    pub(super) namespace: NetworkNamespace,
    pub(super) daemon: Option<Pid>,
    /// Something can be pinned at all.
    pub(super) has_bpffs: bool,
    /// What is pinned was attached to devices that are all gone, in another network namespace.
    pub(super) abandoned: bool,
}

/// The instance is another network namespace's.
#[derive(Debug)]
pub struct Elsewhere {
    instance: Instance,
    inode: u64,
    daemon: Option<Pid>,
    /// A file to enter it by.
    entrance: Option<PathBuf>,
    command: &'static str,
}

impl std::error::Error for Elsewhere {}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, inode, daemon, entrance, command } = self;
        let place = namespaces::name(*inode);
        write!(f, "instance {instance} belongs to another network namespace, {place}")?;
        match daemon {
            Some(pid) => write!(f, ", where its daemon runs (pid {pid}): ")?,
            None => f.write_str(": ")?,
        }
        match entrance {
            Some(entrance) => write!(
                f,
                "run `nsenter --net={} prroute {command} --instance {instance}`, or use another \
                 --instance",
                entrance.display()
            ),
            None => write!(
                f,
                "no process that is visible here runs in it. Run this command in it, or use \
                 another --instance; if it no longer exists, remove what is left of it: `rm -r {} \
                 {}`",
                Pins::of(instance).instance().display(),
                RunDirectory::of(instance).path().display()
            ),
        }
    }
}

/// What is left of the instance is a network namespace's that is gone.
#[derive(Debug, thiserror::Error)]
#[error(
    "instance {0} is not running; its network namespace no longer exists, but its datapath is \
     still pinned: `prroute run` replaces it, `prroute down` removes it"
)]
pub struct Abandoned(pub(super) Instance);

/// Looks whose the instance is.
///
/// # Errors
///
/// When it is another network namespace's, with the way there; or when only root can tell.
pub(super) fn find(instance: &Instance, command: &'static str) -> Result<Found> {
    let (pins, directory) = (Pins::of(instance), RunDirectory::of(instance));
    let has_bpffs = match pins.check() {
        Ok(()) => true,
        // Nothing was ever pinned.
        Err(DatapathError::NoBpffs { .. }) => false,
        // What is pinned cannot be seen from here.
        Err(error) => return Err(error.into()),
    };
    let namespace = NetworkNamespace::current()?;
    let daemon = InstanceLock::holder(&directory)?;
    let elsewhere = |inode| Elsewhere {
        instance: instance.clone(),
        inode,
        daemon,
        entrance: namespaces::entrance(inode, daemon),
        command,
    };
    // Where it runs cannot be seen of a daemon that may do more than this process.
    if let Some(inode) = daemon.and_then(namespaces::inode_of)
        && inode != namespace.inode()
    {
        return Err(elsewhere(inode).into());
    }
    let owner = pins.owner()?;
    if let Some(owner) = owner.filter(|owner| *owner != namespace) {
        if daemon.is_some() || !pins.are_abandoned()? {
            return Err(elsewhere(owner.inode()).into());
        }
        return Ok(Found { namespace, daemon, has_bpffs, abandoned: true });
    }
    // Nothing is pinned, but there may be rules and routes: where the journal says, if that is
    // still there.
    if let Some(recorded) = directory.recorded_elsewhere().filter(|_| owner.is_none()) {
        let elsewhere = elsewhere(recorded.inode());
        if daemon.is_some() || elsewhere.entrance.is_some() {
            return Err(elsewhere.into());
        }
    }
    Ok(Found { namespace, daemon, has_bpffs, abandoned: false })
}

/// Likewise, for a command that reports: of what a network namespace left that is gone there is
/// nothing to report.
pub(super) fn find_present(instance: &Instance, command: &'static str) -> Result<Found> {
    let found = find(instance, command)?;
    if found.abandoned { Err(Abandoned(instance.clone()).into()) } else { Ok(found) }
}
