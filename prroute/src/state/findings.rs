//! What of others keeps prroute from doing its work: named, with its likely owner and what to do.
//!
//! Each kind of finding is a module of its own below this one; `findings` asks them all.

mod catch_all;
mod check;
mod direct_return;
mod health;
mod kind;
mod own_source;
mod owner;
pub mod reverse_path;

use std::borrow::Cow;
use std::fmt;

use ipnet::IpNet;

pub(crate) use self::check::{Check, Outcome};
pub(crate) use self::health::Health;
pub use self::kind::{Id, Kind};
use super::desired::Desired;
use super::observed::Observed;
use super::own_source::OwnSources;
use super::uplink::Uplink;
use crate::config::Config;

/// How much a finding matters, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that prroute made or needs is not there: replies go astray now.
    Fault,
    /// Packets go astray until somebody does something.
    Warning,
    /// All is well, but not as usual.
    Notice,
}

/// One thing that was found. It is written for somebody who has never heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub id: Id,
    pub severity: Severity,
    /// What is the matter with which object, and what comes of it. One sentence without a full stop.
    pub what: String,
    /// Who likely made the object; `None` when nothing tells.
    pub owner: Option<String>,
    /// What to do about it, likewise one sentence.
    pub remedy: Option<String>,
    /// The interface that it is about.
    pub device: Option<String>,
    /// What was seen: numbers, objects as `ip` or `nft` print them.
    pub evidence: Vec<String>,
    /// The command that mends it, to be typed as it is.
    pub fix: Option<String>,
}

impl Finding {
    /// A warning about an object, which says nothing yet.
    pub(crate) fn about(kind: Kind, object: impl fmt::Display) -> Self {
        Self::of(kind.of(&object))
    }

    /// Likewise, about what a host has once.
    pub(crate) fn single(kind: Kind) -> Self {
        Self::of(kind.alone())
    }

    fn of(id: Id) -> Self {
        Self {
            id,
            severity: Severity::Warning,
            what: String::new(),
            owner: None,
            remedy: None,
            device: None,
            evidence: Vec::new(),
            fix: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        explain(f, &self.what, self.owner.as_deref(), self.remedy.as_deref())
    }
}

/// A name as a word of a command that is typed into a shell: the kernel takes nearly any byte in the
/// name of an interface.
pub(crate) fn word(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@/:+".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("'{}'", name.replace('\'', "'\\''"))),
    }
}

/// A finding as log and commands say it.
pub(crate) fn explain(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    owner: Option<&str>,
    remedy: Option<&str>,
) -> fmt::Result {
    f.write_str(what)?;
    if let Some(owner) = owner {
        write!(f, " (likely made by {owner})")?;
    }
    remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
}

/// Everything that was found, in a stable order. With fewer than two uplinks nothing is managed, and
/// nothing of others is in the way.
pub fn findings(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    desired: &Desired,
) -> Vec<Finding> {
    if uplinks.len() < 2 {
        return Vec::new();
    }
    let mut all = Vec::new();
    all.extend(catch_all::findings(config, desired));
    let own_source = OwnSources::in_force(uplinks);
    all.extend(own_source::findings(config, observed, uplinks, own_source));
    all.extend(direct_return::finding(observed, uplinks, &desired.recognised));
    all.extend(reverse_path::finding(
        &observed.reverse_path_filters,
        &names_and_addresses(uplinks),
    ));
    all
}

fn names_and_addresses(uplinks: &[Uplink]) -> Vec<(&str, &[IpNet])> {
    let devices = uplinks.iter().map(|uplink| &uplink.device);
    devices.map(|device| (device.name.as_str(), device.addresses.as_slice())).collect()
}

/// What is in one list and not in the other, by id.
pub fn new_in<'a>(now: &'a [Finding], before: &[Finding]) -> impl Iterator<Item = &'a Finding> {
    now.iter().filter(|one| !before.iter().any(|other| other.id == one.id))
}
