//! The requests of bpf(2) about links that aya makes by name only, or not at all.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_link_type};
use nix::errno::Errno;
use nix::libc;

const LINK_TYPE_CGROUP: u32 = bpf_link_type::BPF_LINK_TYPE_CGROUP as u32;
const LINK_TYPE_TCX: u32 = bpf_link_type::BPF_LINK_TYPE_TCX as u32;

/// What a link attaches its program to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An interface, by its index.
    Device(u32),
    /// A control group, by its id.
    Cgroup(u64),
    /// Nothing any more: the link was detached, or what it was attached to is gone.
    Nothing,
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkInfo {
    pub(super) id: u32,
    /// The id of the program behind it.
    pub(super) program: u32,
    pub(super) target: Target,
}

/// `attr` of `BPF_LINK_CREATE`, with what tcx adds.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    pad: u32,
    expected_revision: u64,
}

#[repr(C)]
#[derive(Default)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// `attr` of `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
#[derive(Default)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ObjectInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// `attr` of `BPF_PROG_QUERY`, with what tcx adds (Linux 6.6).
#[repr(C)]
#[derive(Default)]
struct ProgramQuery {
    ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    pad: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}

/// `attr` of `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct RawProgramInfo {
    numbers: [u64; 8],
    name: [u8; NAME],
}

/// `BPF_OBJ_NAME_LEN`
const NAME: usize = 16;

/// The kernel lets no more programs share a hook (`BPF_MPROG_MAX`).
const ON_ONE_HOOK: usize = 64;

/// The beginning of `struct bpf_link_info`. What a kernel adds behind it is not asked for.
#[repr(C)]
#[derive(Default)]
struct RawLinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    /// tcx: the ifindex, in its first half; cgroup: the id of the group.
    target: u64,
    rest: u64,
}

/// Attaches a program to an interface index, or to an open control group.
///
/// # Errors
///
/// `EINVAL`: the kernel knows no such attach type; `ENODEV`: no such interface.
pub(super) fn create_link(
    program: BorrowedFd<'_>,
    target: u32,
    attach_type: bpf_attach_type,
    flags: u32,
) -> io::Result<OwnedFd> {
    let (program, attach_type) = (raw(program), attach_type as u32);
    let mut attr = LinkCreate { program, target, attach_type, flags, ..LinkCreate::default() };
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).and_then(owned)
}

/// Puts another program behind a link: every packet meets either the old one or the new one.
///
/// # Errors
///
/// `ENOLINK`: the link is attached to nothing any more.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdate { link: raw(link), program: raw(program), ..LinkUpdate::default() };
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Takes the program behind a link off, at once: when the last reference goes, the kernel does that some
/// time later. The link is attached to nothing from then on.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkDetach { link: raw(link) };
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
}

pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr { path: path.as_ptr() as u64, fd: raw(object), ..PinAttr::default() };
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Opens what is pinned.
///
/// # Errors
///
/// `ENOENT`: nothing is.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr { path: path.as_ptr() as u64, ..PinAttr::default() };
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attr).and_then(owned)
}

pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = RawLinkInfo::default();
    let mut attr = ObjectInfo {
        fd: raw(link),
        length: u32::try_from(size_of::<RawLinkInfo>()).unwrap_or_default(),
        info: (&raw mut info) as u64,
    };
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(LinkInfo { id: info.id, program: info.program, target: target(&info) })
}

/// A program that is attached by tcx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcxProgram {
    pub(super) program: u32,
    /// 0: it is attached without a link.
    pub(super) link: u32,
}

/// What is attached to a hook of an interface by tcx, in the order in which packets meet it. Needs
/// CAP_NET_ADMIN only: whoever wants more than the ids needs CAP_SYS_ADMIN.
///
/// # Errors
///
/// `ENODEV`: no such interface. A kernel without tcx has nothing attached.
pub(super) fn tcx_programs(
    ifindex: u32,
    attach_type: bpf_attach_type,
) -> io::Result<Vec<TcxProgram>> {
    let mut programs = [0_u32; ON_ONE_HOOK];
    let mut links = [0_u32; ON_ONE_HOOK];
    let mut attr = ProgramQuery {
        ifindex,
        attach_type: attach_type as u32,
        programs: (&raw mut programs) as u64,
        count: u32::try_from(ON_ONE_HOOK).unwrap_or_default(),
        links: (&raw mut links) as u64,
        ..ProgramQuery::default()
    };
    match bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) {
        Ok(_) => {}
        Err(error) => {
            let errno = error.raw_os_error().map(Errno::from_raw);
            // An older kernel knows neither the attach type nor so long an `attr`.
            let is_empty = matches!(errno, Some(Errno::EINVAL | Errno::E2BIG | Errno::ENOENT));
            return if is_empty { Ok(Vec::new()) } else { Err(error) };
        }
    }
    let count = usize::try_from(attr.count).unwrap_or_default();
    let both = programs.into_iter().zip(links).take(count);
    Ok(both.map(|(program, link)| TcxProgram { program, link }).collect())
}

/// The name of a program. Needs CAP_SYS_ADMIN.
pub(super) fn program_name(id: u32) -> io::Result<String> {
    let mut attr = ById { id, ..ById::default() };
    let program = bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr).and_then(owned)?;
    let mut info = RawProgramInfo::default();
    let mut attr = ObjectInfo {
        fd: raw(program.as_fd()),
        length: u32::try_from(size_of::<RawProgramInfo>()).unwrap_or_default(),
        info: (&raw mut info) as u64,
    };
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn target(info: &RawLinkInfo) -> Target {
    let [a, b, c, d, ..] = info.target.to_ne_bytes();
    match (info.kind, u32::from_ne_bytes([a, b, c, d]), info.target) {
        (LINK_TYPE_TCX, ifindex @ 1.., _) => Target::Device(ifindex),
        (LINK_TYPE_CGROUP, _, id @ 1..) => Target::Cgroup(id),
        _ => Target::Nothing,
    }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(request: bpf_cmd, attr: &mut T) -> io::Result<libc::c_long> {
    let attr: *mut T = attr;
    // SAFETY: `attr` is a live, exclusive and initialised `repr(C)` value without implicit
    // padding, of the size that is told. The addresses in it are those of a string, or of a value
    // of the length that stands beside, which the callers keep alive over the call; the kernel
    // writes to no other.
    let result = unsafe { libc::syscall(libc::SYS_bpf, request as u32, attr, size_of::<T>()) };
    Ok(Errno::result(result)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kind: u32, target: u64) -> Target {
        super::target(&RawLinkInfo { kind, target, ..RawLinkInfo::default() })
    }

    /// The kernel says 0 of what is gone. Behind an ifindex stands the attach type.
    #[test]
    fn a_link_tells_what_it_is_attached_to() {
        let device = u64::from_ne_bytes({
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&7_u32.to_ne_bytes());
            bytes[4..].copy_from_slice(&46_u32.to_ne_bytes());
            bytes
        });
        let gone = u64::from_ne_bytes([0, 0, 0, 0, 46, 0, 0, 0]);
        assert_eq!(info(LINK_TYPE_TCX, device), Target::Device(7));
        assert_eq!(info(LINK_TYPE_TCX, gone), Target::Nothing);
        assert_eq!(info(LINK_TYPE_CGROUP, 0x1_0000_0000), Target::Cgroup(0x1_0000_0000));
        assert_eq!(info(LINK_TYPE_CGROUP, 0), Target::Nothing);
        assert_eq!(info(8, 7), Target::Nothing, "another kind of link");
    }
}
