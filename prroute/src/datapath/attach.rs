//! Attaching the programs: tcx links at the head of the chain, or clsact filters where the
//! kernel has no tcx (before 6.6, vendor backports aside).

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use aya::programs::SchedClassifier;
use aya_obj::generated::{BPF_F_BEFORE, bpf_attach_type};
use nix::errno::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::hooks::{Hooks, program};
use crate::datapath::links::{self, Attachment, HeldLink};
use crate::datapath::object::Programs;
use crate::datapath::pins::Pins;
use crate::netlink::{CLSACT, Direction, Kernel};
use crate::state::uplink::{Ifindex, UplinkId};

/// How the programs are hooked in; journal, reports and messages spell it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Tcx,
    Clsact,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What attaching to one device left behind, for undoing it and for looking after it.
#[derive(Debug)]
pub struct Attached {
    pub hook: Hook,
    /// The clsact qdisc was not there before.
    pub made_qdisc: bool,
    /// The tcx links; clsact filters live in the kernel alone.
    pub links: Vec<(Direction, HeldLink)>,
}

/// Attaches the programs to a device, or replaces those that an earlier daemon attached. A
/// replacement is atomic: every packet meets either the old program or the new one.
///
/// The device is named to the kernel by its index: whoever gets its name meanwhile is left alone.
///
/// # Errors
///
/// When the kernel refuses; [`DatapathError::Gone`] when there is no device of this index.
pub async fn attach(
    programs: &mut Programs,
    kernel: &Kernel,
    hooks: &Hooks<'_>,
    wanted: Option<Hook>,
) -> Result<Attached> {
    let attached = match wanted {
        Some(Hook::Tcx) => attach_tcx(programs, hooks).map_err(|error| {
            if error.is_errno(Errno::EINVAL) {
                DatapathError::NoTcx { name: hooks.name.to_owned() }
            } else {
                error
            }
        }),
        Some(Hook::Clsact) => attach_clsact(programs, kernel, hooks).await,
        None => match attach_tcx(programs, hooks) {
            // A kernel without tcx refuses the attach type.
            Err(error) if error.is_errno(Errno::EINVAL) => {
                attach_clsact(programs, kernel, hooks).await
            }
            other => other,
        },
    };
    attached.map_err(|error| {
        if error.is_errno(Errno::ENODEV) {
            DatapathError::Gone { name: hooks.name.to_owned(), ifindex: hooks.ifindex.0 }
        } else {
            error
        }
    })
}

fn attach_tcx(programs: &mut Programs, hooks: &Hooks<'_>) -> Result<Attached> {
    let mut links = Vec::new();
    for (direction, pin) in hooks.links() {
        let name = program(*direction);
        let program = descriptor(programs.get(name)?, name)?;
        links.push((*direction, link(program, hooks, *direction, pin)?));
    }
    Ok(Attached { hook: Hook::Tcx, made_qdisc: false, links })
}

fn link(
    program: BorrowedFd<'_>,
    hooks: &Hooks<'_>,
    direction: Direction,
    pin: &Path,
) -> Result<HeldLink> {
    // A link keeps its place. Where others went before it, a new one goes to the head, and the old one
    // goes when its pin does; for a moment packets meet both.
    if links::is_behind_others(pin, hooks.ifindex.0, attach_type(direction))? {
        match HeldLink::create(program, tcx(hooks, direction), pin) {
            // The old link has this very program.
            Err(error) if error.is_errno(Errno::EEXIST) => {}
            other => return other,
        }
    }
    match HeldLink::take_over(program, hooks.ifindex.0, pin)? {
        Some(link) => Ok(link),
        None => HeldLink::create(program, tcx(hooks, direction), pin),
    }
}

pub(super) const fn attach_type(direction: Direction) -> bpf_attach_type {
    match direction {
        Direction::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Direction::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    }
}

fn tcx(hooks: &Hooks<'_>, direction: Direction) -> Attachment {
    let attach_type = attach_type(direction);
    let name = format!("{} {} (tcx)", hooks.name, direction.name());
    // At the head of the chain.
    Attachment { name, target: hooks.ifindex.0, attach_type, flags: BPF_F_BEFORE }
}

async fn attach_clsact(
    programs: &mut Programs,
    kernel: &Kernel,
    hooks: &Hooks<'_>,
) -> Result<Attached> {
    let made_qdisc = kernel.add_clsact(hooks.ifindex).await?;
    if !made_qdisc
        && let Some(kind) = kernel.hook_qdiscs().await?.remove(&hooks.ifindex)
        && kind != CLSACT
    {
        return Err(DatapathError::OtherQdisc { name: hooks.name.to_owned(), kind });
    }
    for (direction, _) in hooks.links() {
        let name = program(*direction);
        let program = descriptor(programs.get(name)?, name)?;
        kernel.attach_filter(hooks.ifindex, *direction, program, name).await?;
    }
    Ok(Attached { hook: Hook::Clsact, made_qdisc, links: Vec::new() })
}

fn descriptor<'a>(program: &'a SchedClassifier, name: &'static str) -> Result<BorrowedFd<'a>> {
    let fd = program.fd().map_err(|source| DatapathError::Program {
        operation: "find program",
        object: name.to_owned(),
        source: Box::new(source),
    })?;
    Ok(fd.as_fd())
}

/// Removes both filters from an interface; those that are gone already are fine, and those of
/// others stay. Tells whether there was one.
///
/// # Errors
///
/// Tells what failed first, after both were tried.
pub async fn detach_clsact(kernel: &Kernel, ifindex: Ifindex) -> Result<bool> {
    let mut result = Ok(false);
    for direction in Direction::BOTH {
        let removed = kernel.detach_filter(ifindex, direction, program(direction)).await;
        result = result.and_then(|before| removed.map(|now| before || now));
    }
    Ok(result?)
}

/// Removes the tcx links of an uplink; those that are gone already are fine.
///
/// # Errors
///
/// Tells what failed first, after both were tried.
pub fn detach_tcx(pins: &Pins, id: UplinkId) -> Result<()> {
    let removed = Direction::BOTH.map(|direction| links::remove(&pins.link(id, direction)));
    removed.into_iter().collect()
}
