//! Links that are pinned, and held by their descriptor as well: when somebody removes a pin, the
//! program stays attached, and the pin can come back.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya_obj::generated::bpf_attach_type;
use nix::errno::Errno;

use crate::datapath::bpf::{self, LinkInfo, Target};
use crate::datapath::directory::{move_pin, refuse_foreign, remove_pin};
use crate::datapath::error::{DatapathError, Result};

/// What to attach to, and how.
#[derive(Debug)]
pub(super) struct Attachment {
    /// For errors.
    pub(super) name: String,
    /// An interface index, or the descriptor of a control group.
    pub(super) target: u32,
    pub(super) attach_type: bpf_attach_type,
    pub(super) flags: u32,
}

/// A link of ours. It lives as long as this value or its pin.
#[derive(Debug)]
pub struct HeldLink {
    fd: OwnedFd,
    id: u32,
    target: Target,
    pin: PathBuf,
}

impl HeldLink {
    /// Attaches a program, and pins the link: in the place of whatever is pinned there.
    pub(super) fn create(
        program: BorrowedFd<'_>,
        attachment: Attachment,
        pin: &Path,
    ) -> Result<Self> {
        let Attachment { name, target, attach_type, flags } = attachment;
        let fd = bpf::create_link(program, target, attach_type, flags).map_err(|source| {
            DatapathError::Bpf { operation: "attach to", object: name, source }
        })?;
        let LinkInfo { id, target, .. } =
            bpf::link_info(fd.as_fd()).map_err(failed("ask about the link", pin))?;
        let link = Self { fd, id, target, pin: pin.to_owned() };
        link.put_pin()?;
        Ok(link)
    }

    /// Takes over a pinned link that is attached to this interface, and puts the program behind it.
    /// `None` when there is none: nothing is pinned, or the link is attached to nothing any more, or
    /// elsewhere.
    pub(super) fn take_over(
        program: BorrowedFd<'_>,
        ifindex: u32,
        pin: &Path,
    ) -> Result<Option<Self>> {
        let fd = match bpf::open_pin(pin) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed("open pinned link", pin))?,
        };
        let info = bpf::link_info(fd.as_fd()).map_err(failed("ask about the link", pin))?;
        if info.target != Target::Device(ifindex) {
            return Ok(None);
        }
        match bpf::update_link(fd.as_fd(), program) {
            // It went just now.
            Err(error) if error.raw_os_error() == Some(Errno::ENOLINK as i32) => return Ok(None),
            other => other.map_err(failed("replace the program of", pin))?,
        }
        Ok(Some(Self { fd, id: info.id, target: info.target, pin: pin.to_owned() }))
    }

    /// The kernel's id of it.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Whether it still attaches this program to the control group that it was made for.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub fn is_in_force(&self, program: u32) -> Result<bool> {
        let info =
            bpf::link_info(self.fd.as_fd()).map_err(failed("ask about the link", &self.pin))?;
        Ok(info == LinkInfo { id: self.id, program, target: self.target })
    }

    /// Where it is pinned.
    pub fn pin(&self) -> &Path {
        &self.pin
    }

    /// Whether its pin is there, and is its.
    pub fn is_pinned(&self) -> bool {
        pinned(&self.pin).is_ok_and(|info| info.is_some_and(|info| info.id == self.id))
    }

    /// Pins it, in the place of whatever is pinned there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn put_pin(&self) -> Result<()> {
        let new = beside(&self.pin);
        remove_pin(&new)?;
        bpf::pin(self.fd.as_fd(), &new).map_err(failed("pin the link", &self.pin))?;
        move_pin(&new, &self.pin)
    }
}

/// What is pinned at a path; `None`: nothing.
fn pinned(pin: &Path) -> io::Result<Option<LinkInfo>> {
    match bpf::open_pin(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        fd => bpf::link_info(fd?.as_fd()).map(Some),
    }
}

/// Detaches the link that is pinned at a path, and removes the pin: when this returns no packet meets
/// the program behind it. What is gone already is fine.
///
/// # Errors
///
/// When the kernel refuses, or what is there is somebody else's.
pub fn remove(pin: &Path) -> Result<()> {
    refuse_foreign(pin)?;
    match bpf::open_pin(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // What is pinned there is no link of ours, or cannot be opened: without its pin it goes.
        Err(_) => {}
        // A link whose device is gone is attached to nothing.
        Ok(fd) => bpf::detach_link(fd.as_fd()).unwrap_or_default(),
    }
    remove_pin(pin)
}

/// The interface that the link pinned at a path is attached to; `None`: it is attached to nothing any
/// more.
///
/// # Errors
///
/// When nothing is pinned there, or the kernel does not tell.
pub(super) fn device(pin: &Path) -> io::Result<Option<u32>> {
    let info = bpf::link_info(bpf::open_pin(pin)?.as_fd())?;
    Ok(match info.target {
        Target::Device(ifindex) => Some(ifindex),
        Target::Cgroup(_) | Target::Nothing => None,
    })
}

/// The id of the link that is pinned at a path, where it attaches a program to this interface.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn attached_to(pin: &Path, ifindex: u32) -> Result<Option<u32>> {
    let info = pinned(pin).map_err(failed("open pinned link", pin))?;
    Ok(info.filter(|info| info.target == Target::Device(ifindex)).map(|info| info.id))
}

/// Whether a program of others is met before the one that the link pinned at a path attaches to an
/// interface.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub(super) fn is_behind_others(
    pin: &Path,
    ifindex: u32,
    attach_type: bpf_attach_type,
) -> Result<bool> {
    let Some(id) = attached_to(pin, ifindex)? else { return Ok(false) };
    let chain = bpf::tcx_programs(ifindex, attach_type).map_err(failed("order", pin))?;
    Ok(chain.iter().position(|program| program.link == id).is_some_and(|place| place > 0))
}

/// The id of the program that the link pinned at a path attaches to a control group.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn program_on_cgroup(pin: &Path) -> Result<Option<u32>> {
    let info = pinned(pin).map_err(failed("open pinned link", pin))?;
    Ok(info.filter(|info| matches!(info.target, Target::Cgroup(_))).map(|info| info.program))
}

/// Where a pin is made before it takes another's place.
fn beside(pin: &Path) -> PathBuf {
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    pin.with_file_name(format!("{name}_new"))
}

fn failed(operation: &'static str, pin: &Path) -> impl FnOnce(io::Error) -> DatapathError {
    let object = pin.display().to_string();
    move |source| DatapathError::Bpf { operation, object, source }
}
