//! Whether there are tables that this version can read: the question of each command that reads nothing else.

use anyhow::Result;
use nix::unistd::Pid;

use crate::datapath::Pins;
use crate::instance::Instance;
use crate::runtime::RunDirectory;

/// `None`: no programs are in force.
///
/// # Errors
///
/// When another version's are.
pub(super) fn tables(instance: &Instance, daemon: Option<Pid>) -> Result<Option<Pins>> {
    let report = RunDirectory::of(instance).read_report().usable().unwrap_or_default();
    let pins = Pins::of(instance);
    let in_force = pins.in_force(report.has_loaded(daemon))?;
    in_force.expect_no_other()?;
    Ok(in_force.is_this().then_some(pins))
}
