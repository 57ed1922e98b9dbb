//! Attaching the programs: tcx links at the head of the chain, or clsact filters where the
//! kernel has no tcx (before 6.6, vendor backports aside).

use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{
    self, NlOptions, SchedClassifierLink, TcAttachOptions, TcAttachType, TcError, TcHandle,
};
use aya::programs::{Link as _, LinkOrder, ProgramError, SchedClassifier};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use prroute_common::names;
use serde::{Deserialize, Serialize};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::hooks::Hooks;
use crate::datapath::object::Programs;
use crate::datapath::pins::Pins;
use crate::state::uplink::UplinkId;

/// Before every other filter.
const FILTER_PRIORITY: u16 = 1;

/// Tells our filter from others of the same priority ("pr").
const FILTER_HANDLE: TcHandle = TcHandle::new(0, 0x7072);

/// How the programs are hooked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Tcx,
    Clsact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|direction| direction.name() == name)
    }

    const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Ingress => names::PROGRAM_INGRESS,
            Self::Egress => names::PROGRAM_EGRESS,
        }
    }
}

/// What attaching to one device left behind, for undoing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    pub hook: Hook,
    /// The clsact qdisc was not there before.
    pub made_qdisc: bool,
}

/// Attaches the programs to a device, or replaces those that an earlier daemon attached. A
/// replacement is atomic: every packet meets either the old program or the new one.
///
/// # Errors
///
/// When the kernel refuses, or the interface's name has come to another device.
pub fn attach(
    programs: &mut Programs,
    hooks: &Hooks<'_>,
    wanted: Option<Hook>,
) -> Result<Attached> {
    // aya resolves the name: before and after must agree, or a rename came between.
    check_name(hooks)?;
    let attached = match wanted {
        Some(Hook::Tcx) => attach_tcx(programs, hooks).map_err(|error| {
            if is_unknown_to_kernel(&error) {
                DatapathError::NoTcx { name: hooks.name.to_owned() }
            } else {
                error
            }
        }),
        Some(Hook::Clsact) => attach_clsact(programs, hooks),
        None => match attach_tcx(programs, hooks) {
            Err(error) if is_unknown_to_kernel(&error) => attach_clsact(programs, hooks),
            other => other,
        },
    }?;
    check_name(hooks)?;
    Ok(attached)
}

fn attach_tcx(programs: &mut Programs, hooks: &Hooks<'_>) -> Result<Attached> {
    for (direction, pin) in hooks.links() {
        let program = programs.get(direction.program())?;
        if !replace_tcx(program, pin)? {
            create_tcx(program, pin, hooks.name, *direction)?;
        }
    }
    Ok(Attached { hook: Hook::Tcx, made_qdisc: false })
}

/// Puts the program behind a pinned link. `false` when there is none, or when its device is
/// gone.
fn replace_tcx(program: &mut SchedClassifier, pin: &Path) -> Result<bool> {
    let object = || pin.display().to_string();
    let link_failed =
        |source| DatapathError::Link { operation: "open pinned link", object: object(), source };
    let pinned = match PinnedLink::from_pin(pin) {
        Ok(pinned) => pinned,
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(source) => return Err(link_failed(source)),
    };
    let link = SchedClassifierLink::try_from(FdLink::from(pinned)).map_err(link_failed)?;
    match program.attach_to_link(link) {
        Ok(id) => {
            // The pin holds the link; this handle may go.
            drop(take(program, id, pin)?);
            Ok(true)
        }
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(Errno::ENOLINK as i32) =>
        {
            std::fs::remove_file(pin).map_err(|source| DatapathError::File {
                operation: "remove the stale link",
                path: pin.to_owned(),
                source,
            })?;
            Ok(false)
        }
        Err(source) => Err(DatapathError::Program {
            operation: "replace the program of",
            object: object(),
            source: Box::new(source),
        }),
    }
}

fn create_tcx(
    program: &mut SchedClassifier,
    pin: &Path,
    interface: &str,
    direction: Direction,
) -> Result<()> {
    let object = || format!("{interface} {} (tcx)", direction.name());
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(interface, direction.attach_type(), options).map_err(
        |source| DatapathError::Program {
            operation: "attach to",
            object: object(),
            source: Box::new(source),
        },
    )?;
    let link = take(program, id, pin)?;
    FdLink::try_from(link)
        .map_err(|source| DatapathError::Link {
            operation: "take the link of",
            object: object(),
            source,
        })?
        .pin(pin)
        .map_err(|source| DatapathError::Pin {
            operation: "pin the link of",
            object: object(),
            source,
        })?;
    Ok(())
}

fn take(
    program: &mut SchedClassifier,
    id: aya::programs::tc::SchedClassifierLinkId,
    pin: &Path,
) -> Result<SchedClassifierLink> {
    program.take_link(id).map_err(|source| DatapathError::Program {
        operation: "take the link of",
        object: pin.display().to_string(),
        source: Box::new(source),
    })
}

fn attach_clsact(programs: &mut Programs, hooks: &Hooks<'_>) -> Result<Attached> {
    let name = hooks.name;
    let made_qdisc = match tc::qdisc_add_clsact(name) {
        Ok(()) => true,
        // Somebody else's, or ours from before.
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(Errno::EEXIST as i32) => {
            false
        }
        Err(source) => return Err(clsact_failed("add the clsact qdisc of", name, source.into())),
    };
    for (direction, _) in hooks.links() {
        let direction = *direction;
        let program = programs.get(direction.program())?;
        let options = NlOptions { priority: FILTER_PRIORITY, handle: FILTER_HANDLE, classid: None };
        let id = match program.attach_with_options(
            name,
            direction.attach_type(),
            TcAttachOptions::Netlink(options),
        ) {
            Err(error) if is_errno(&error, Errno::EEXIST) => {
                program.attach_to_link(filter(name, direction)?)
            }
            other => other,
        }
        .map_err(|source| clsact_failed("attach to", name, source))?;
        // A filter lives in the kernel; dropping its handle would detach it.
        mem::forget(take(program, id, Path::new(name))?);
    }
    Ok(Attached { hook: Hook::Clsact, made_qdisc })
}

/// The handle of our filter on an interface, whether it is there or not.
fn filter(interface: &str, direction: Direction) -> Result<SchedClassifierLink> {
    SchedClassifierLink::attached(
        interface,
        direction.attach_type(),
        FILTER_PRIORITY,
        FILTER_HANDLE,
        None,
    )
    .map_err(|source| DatapathError::File {
        operation: "find the interface",
        path: interface.into(),
        source,
    })
}

fn clsact_failed(operation: &'static str, name: &str, source: ProgramError) -> DatapathError {
    DatapathError::Program {
        operation,
        object: format!("{name} (clsact)"),
        source: Box::new(source),
    }
}

/// Removes both filters from an interface; those that are gone already are fine. Whether there was
/// one.
pub fn detach_clsact(interface: &str) -> Result<bool> {
    let mut found = false;
    for direction in Direction::BOTH {
        let link = filter(interface, direction)?;
        match link.detach() {
            Err(error) if !is_errno(&error, Errno::ENOENT) && !is_errno(&error, Errno::EINVAL) => {
                return Err(clsact_failed("detach from", interface, error));
            }
            Err(_) => {}
            Ok(()) => found = true,
        }
    }
    Ok(found)
}

/// Removes the tcx links of an uplink.
pub fn detach_tcx(pins: &Pins, id: UplinkId) -> Result<()> {
    Direction::BOTH.into_iter().try_for_each(|direction| remove_link(pins.link(id, direction)))
}

/// Removes a pinned tcx link; one that is gone already is fine.
pub fn remove_link(path: PathBuf) -> Result<()> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DatapathError::File { operation: "remove", path, source })
        }
        _ => Ok(()),
    }
}

fn check_name(hooks: &Hooks<'_>) -> Result<()> {
    let ifindex = hooks.ifindex.0;
    if if_nametoindex(hooks.name) != Ok(ifindex) {
        return Err(DatapathError::Renamed { name: hooks.name.to_owned(), ifindex });
    }
    Ok(())
}

/// A kernel without tcx refuses the attach type.
fn is_unknown_to_kernel(error: &DatapathError) -> bool {
    matches!(error, DatapathError::Program { source, .. } if is_errno(source, Errno::EINVAL))
}

fn is_errno(error: &ProgramError, errno: Errno) -> bool {
    let found = match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::NetlinkError(error) | ProgramError::TcError(TcError::NetlinkError(error)) => {
            error.raw_os_error()
        }
        _ => None,
    };
    found == Some(errno as i32)
}
