//! What the kernel has of the datapath right now: the programs on a hook, and what is pinned.

use std::path::Path;

use nix::errno::Errno;

use crate::datapath::attach::{Hook, attach_type};
use crate::datapath::bpf::{self, TcxProgram};
use crate::datapath::chain::{Entry, Ours};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::hooks::{self, ProgramIds};
use crate::datapath::links;
use crate::netlink::{CLSACT, Direction, Kernel};
use crate::state::uplink::Ifindex;

/// How much of a hook is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What was attached by the same means.
    Only(Hook),
    All,
}

impl Extent {
    fn includes(self, hook: Hook) -> bool {
        self == Self::All || self == Self::Only(hook)
    }
}

/// Everything on a hook of an interface, in the order in which packets meet it. Of an interface that is
/// gone: nothing.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub async fn on_hook(
    kernel: &Kernel,
    ifindex: Ifindex,
    direction: Direction,
    extent: Extent,
) -> Result<Vec<Entry>> {
    let mut chain = Vec::new();
    if extent.includes(Hook::Tcx) {
        let programs = match bpf::tcx_programs(ifindex.0, attach_type(direction)) {
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Vec::new(),
            other => other.map_err(|source| DatapathError::Bpf {
                operation: "list the tcx programs of interface",
                object: ifindex.to_string(),
                source,
            })?,
        };
        let entry = |TcxProgram { program, link }| Entry::Tcx { program, link };
        chain.extend(programs.into_iter().map(entry));
    }
    if extent.includes(Hook::Clsact)
        && !is_of_ingress_qdisc(kernel, ifindex, direction, extent).await?
    {
        chain.extend(kernel.filters(ifindex, direction).await?.into_iter().map(Entry::Filter));
    }
    Ok(chain)
}

/// Whether the kernel would list the filters for packets that come in once more, as those for packets
/// that leave: an `ingress` qdisc has one hook only. Ours are never there, so that only matters where those
/// of others are listed.
async fn is_of_ingress_qdisc(
    kernel: &Kernel,
    ifindex: Ifindex,
    direction: Direction,
    extent: Extent,
) -> Result<bool> {
    if extent != Extent::All || direction != Direction::Egress {
        return Ok(false);
    }
    Ok(kernel.hook_qdiscs().await?.get(&ifindex).is_some_and(|kind| kind != CLSACT))
}

/// By which hook the program for one direction is attached to a device right now; `None`: it is not.
/// `pin` is where its tcx link is pinned; without `ids` it is known by that, or by its filter's name.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub async fn in_force(
    kernel: &Kernel,
    ifindex: Ifindex,
    pin: &Path,
    direction: Direction,
    ids: Option<&ProgramIds>,
) -> Result<Option<Hook>> {
    let chain = on_hook(kernel, ifindex, direction, Extent::All).await?;
    let link = links::attached_to(pin, ifindex.0)?;
    let (program, name) = (ids.map(|ids| ids.of(direction)), hooks::program(direction));
    let is_in_force = |hook: &Hook| {
        let link = link.filter(|_| *hook == Hook::Tcx);
        Ours { direction, hook: *hook, program, link, name }.judge(&chain).is_in_force()
    };
    Ok([Hook::Tcx, Hook::Clsact].into_iter().find(is_in_force))
}

/// What an administrator finds a program by, with its name where this process may ask for it.
pub fn describe(entry: &Entry) -> String {
    let program = |id| match bpf::program_name(id) {
        Ok(name) if !name.is_empty() => format!("program {id} ({name})"),
        _ => format!("program {id}"),
    };
    match entry {
        Entry::Tcx { program: id, .. } => format!("tcx {}", program(*id)),
        Entry::Filter(filter) if filter.program != 0 => {
            format!(
                "{} filter of priority {}, {}",
                filter.kind,
                filter.priority,
                program(filter.program)
            )
        }
        Entry::Filter(filter) => format!("{} filter of priority {}", filter.kind, filter.priority),
    }
}
