//! Other programs that manage the network beside prroute, and may take its rules for theirs.

pub mod known;
pub mod networkd;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The first 15 characters of a program's name, as the kernel keeps them.
const NETWORKD: &str = "systemd-network";
const NETWORK_MANAGER: &str = "NetworkManager";

/// Where the machine's files are: `/`, or a tree that looks like one.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Self::at("/")
    }
}

/// What of ours was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    pub rules: usize,
    pub routes: usize,
    /// Entries of gateways.
    pub neighbours: usize,
    /// Reverse-path filters that were made strict again.
    pub filters: usize,
}

impl Losses {
    /// Something was deleted.
    pub const fn has_deletions(&self) -> bool {
        self.rules + self.routes + self.neighbours > 0
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules and {} routes", self.rules, self.routes)?;
        match self.neighbours {
            0 => Ok(()),
            count => write!(f, " and {count} neighbour entries of gateways"),
        }
    }
}

/// Who deleted it, as far as can be told: the kernel does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    Networkd,
    NetworkManager,
    /// A program that has programs of its own on the hooks of interfaces.
    OnHooks(&'static str),
    Unknown,
}

impl Machine {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// systemd-networkd where it runs and takes foreign objects of the lost kind for its own;
    /// else NetworkManager where it runs.
    pub fn likely_culprit(&self, losses: Losses) -> Culprit {
        if self.runs(NETWORKD) {
            let foreign = networkd::Foreign::effective(self);
            if (losses.rules > 0 && foreign.rules) || (losses.routes > 0 && foreign.routes) {
                return Culprit::Networkd;
            }
        }
        if self.runs(NETWORK_MANAGER) { Culprit::NetworkManager } else { Culprit::Unknown }
    }

    /// Who may have removed something from a hook: who manages hooks, too, where it runs.
    pub fn likely_culprit_on_hooks(&self) -> Culprit {
        let on_hooks = [("cilium-agent", "Cilium"), ("calico-node", "Calico")];
        let runs = |(process, _): &(&str, _)| self.runs(process);
        on_hooks.into_iter().find(runs).map_or(Culprit::Unknown, |(_, name)| Culprit::OnHooks(name))
    }

    fn runs(&self, name: &str) -> bool {
        let Ok(processes) = fs::read_dir(self.path("/proc")) else { return false };
        let is_it = |path: &Path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        processes.flatten().any(|process| is_it(&process.path()))
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Networkd => {
                "likely by systemd-networkd, which deletes rules and routes of others (`prroute \
                 setup networkd` stops that)"
            }
            Self::NetworkManager => "likely by NetworkManager",
            Self::OnHooks(name) => {
                return write!(f, "likely by {name}, which attaches programs, too");
            }
            Self::Unknown => "by an unknown program",
        })
    }
}

#[cfg(test)]
mod tests;
