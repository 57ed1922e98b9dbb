//! The error of a command whose instance does not run; it names those that do.

use std::fmt;

use nix::unistd::Pid;

use crate::cmd::namespaces;
use crate::instance::Instance;
use crate::namespace::NetworkNamespace;
use crate::runtime::{InstanceLock, RunDirectory};

/// So many are named.
const NAMED: usize = 3;

/// No daemon runs for this instance.
#[derive(Debug)]
pub struct NotRunning {
    instance: Instance,
    others: Vec<Running>,
}

/// An instance with a daemon.
#[derive(Debug)]
struct Running {
    instance: Instance,
    pid: Pid,
    place: Whereabouts,
}

#[derive(Debug)]
enum Whereabouts {
    /// In the network namespace of this process.
    Here,
    /// In another one, by its number.
    Elsewhere(u64),
    /// The daemon may do more than this process.
    Hidden,
}

impl NotRunning {
    /// Looks which others run.
    pub(super) fn of(instance: &Instance) -> Self {
        let here = NetworkNamespace::current().ok().map(NetworkNamespace::inode);
        let running = |other: Instance| {
            let pid = InstanceLock::holder(&RunDirectory::of(&other)).ok().flatten()?;
            let place = match namespaces::inode_of(pid) {
                None => Whereabouts::Hidden,
                Some(inode) if Some(inode) == here => Whereabouts::Here,
                Some(inode) => Whereabouts::Elsewhere(inode),
            };
            Some(Running { instance: other, pid, place })
        };
        let others = RunDirectory::instances().into_iter().filter(|other| other != instance);
        let mut others: Vec<Running> = others.filter_map(running).collect();
        others.sort_by_key(|it| (!matches!(it.place, Whereabouts::Here), it.instance.to_string()));
        Self { instance: instance.clone(), others }
    }
}

impl std::error::Error for NotRunning {}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, others } = self;
        write!(f, "instance {instance} is not running")?;
        for other in others.iter().take(NAMED) {
            write!(f, "; {other}")?;
        }
        match others.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; {more} more run"),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, pid, place } = self;
        write!(f, "instance {instance} runs ")?;
        match place {
            Whereabouts::Here => write!(f, "in this network namespace (pid {pid})"),
            Whereabouts::Elsewhere(inode) => {
                write!(f, "in network namespace {} (pid {pid})", namespaces::name(*inode))
            }
            Whereabouts::Hidden => write!(f, "with pid {pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_run_are_named_with_their_place() {
        let instance = |name: &str| name.parse::<Instance>().unwrap();
        let running = |name: &str, place| {
            let pid = Pid::from_raw(7);
            Running { instance: instance(name), pid, place }
        };
        let mut error = NotRunning { instance: instance("default"), others: Vec::new() };
        assert_eq!(error.to_string(), "instance default is not running");
        error.others.push(running("blue", Whereabouts::Here));
        error.others.push(running("red", Whereabouts::Elsewhere(1)));
        let expected = "instance default is not running; instance blue runs in this network namespace \
                        (pid 7); instance red runs in network namespace net:[1] (pid 7)";
        assert_eq!(error.to_string(), expected);
        error.others.push(running("green", Whereabouts::Hidden));
        error.others.push(running("grey", Whereabouts::Hidden));
        assert!(error.to_string().ends_with("; instance green runs with pid 7; 1 more run"));
    }
}
