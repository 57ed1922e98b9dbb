//! What the kernel says about a pinned tcx link.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

/// bpf(2): BPF_OBJ_GET and BPF_OBJ_GET_INFO_BY_FD.
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// BPF_LINK_TYPE_TCX.
const TCX: u32 = 11;

/// `struct { .. } /* BPF_OBJ_GET */` of `union bpf_attr`.
#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `info` of `union bpf_attr`.
#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_link_info` with its tcx member.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    _padding: u32,
    ifindex: u32,
    attach_type: u32,
}

/// The interface that a tcx link is attached to; `None` when that device is gone.
///
/// # Errors
///
/// When it is no pinned tcx link, or the kernel does not tell.
pub(super) fn tcx_ifindex(pin: &Path) -> io::Result<Option<u32>> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get =
        ObjGet { pathname: path.as_ptr().expose_provenance() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the attribute and the path that it points to live until the call returns; the
    // kernel only reads them.
    let fd = unsafe { bpf(OBJ_GET, &raw const get) }?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = LinkInfo::default();
    let ask = InfoByFd {
        bpf_fd: fd.as_raw_fd().cast_unsigned(),
        info_len: mem::size_of::<LinkInfo>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes to `info`, which is its size, and it lives
    // until the call returns.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &raw const ask) }?;
    if info.kind != TCX {
        return Err(io::Error::other("it is no tcx link"));
    }
    Ok((info.ifindex != 0).then_some(info.ifindex))
}

/// # Safety
///
/// `attribute` is what the command expects, and all that it points to is valid.
unsafe fn bpf<T>(command: libc::c_int, attribute: *const T) -> io::Result<libc::c_int> {
    // SAFETY: the caller's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attribute, mem::size_of::<T>()) };
    Ok(Errno::result(result)? as libc::c_int)
}
