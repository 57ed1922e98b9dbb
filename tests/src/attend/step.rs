//! What a system call would change, in words.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

use nix::libc::{self, c_long, seccomp_notif};

/// The longest path.
const MOST: usize = 4096;

/// `None`: it changes nothing that is prroute's.
pub(super) fn of(held: &seccomp_notif) -> Option<String> {
    let memory = Memory::of(held.pid)?;
    let args = held.data.args;
    match c_long::from(held.data.nr) {
        libc::SYS_bpf => bpf(&memory, args[0], args[1]),
        libc::SYS_sendto => message(&memory, args[1], args[2]),
        libc::SYS_sendmsg => {
            // msghdr: name, its length, and the vector; its first part is the message, or begins it.
            let vector = memory.word(args[1] + 16)?;
            message(&memory, memory.word(vector)?, memory.word(vector + 8)?)
        }
        libc::SYS_openat => Some(format!("open {}", memory.text(args[1])?)),
        libc::SYS_renameat | libc::SYS_renameat2 => {
            Some(format!("rename to {}", memory.text(args[3])?))
        }
        libc::SYS_unlinkat => Some(format!("remove {}", memory.text(args[1])?)),
        libc::SYS_mkdirat => Some(format!("make directory {}", memory.text(args[1])?)),
        number => with_one_path(&memory, number, args),
    }
}

/// Those that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
fn with_one_path(memory: &Memory, number: c_long, args: [u64; 6]) -> Option<String> {
    match number {
        libc::SYS_rename => Some(format!("rename to {}", memory.text(args[1])?)),
        libc::SYS_unlink | libc::SYS_rmdir => Some(format!("remove {}", memory.text(args[0])?)),
        libc::SYS_mkdir => Some(format!("make directory {}", memory.text(args[0])?)),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn with_one_path(_: &Memory, _: c_long, _: [u64; 6]) -> Option<String> {
    None
}

/// bpf(2): `union bpf_attr` of include/uapi/linux/bpf.h.
fn bpf(memory: &Memory, command: u64, attr: u64) -> Option<String> {
    const MAP_NAME: u64 = 28;
    const PROGRAM_NAME: u64 = 48;
    Some(match command {
        0 => format!("create map {}", memory.text(attr + MAP_NAME)?),
        2 | 26 => "write to a map".to_owned(),
        3 | 27 => "delete from a map".to_owned(),
        5 => format!("load program {}", memory.text(attr + PROGRAM_NAME)?),
        6 => format!("pin {}", memory.text(memory.word(attr)?)?),
        8 | 28 => "attach a program".to_owned(),
        9 | 34 => "detach a program".to_owned(),
        29 => "replace a program".to_owned(),
        _ => return None,
    })
}

/// To rtnetlink: `struct nlmsghdr` begins with the length, and the numbers are those of
/// include/uapi/linux/rtnetlink.h.
fn message(memory: &Memory, at: u64, length: u64) -> Option<String> {
    let header = memory.word(at)?.to_ne_bytes();
    let [a, b, c, d, low, high, ..] = header;
    if u64::from(u32::from_ne_bytes([a, b, c, d])) > length {
        return None;
    }
    let kind = u16::from_ne_bytes([low, high]);
    let what = match kind {
        24 => "add route",
        25 => "delete route",
        28 => "add neighbour",
        29 => "delete neighbour",
        32 => "add rule",
        33 => "delete rule",
        36 => "add qdisc",
        37 => "delete qdisc",
        44 => "add filter",
        45 => "delete filter",
        _ => return None,
    };
    Some(what.to_owned())
}

/// A process's memory.
struct Memory(File);

impl Memory {
    fn of(pid: u32) -> Option<Self> {
        File::open(format!("/proc/{pid}/mem")).ok().map(Self)
    }

    fn bytes(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.0.read_at(&mut bytes, at).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }

    fn word(&self, at: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(at, 8)?.try_into().ok()?))
    }

    /// A string that ends with a zero byte; it may be the last of its mapping.
    fn text(&self, at: u64) -> Option<String> {
        let bytes = self.bytes(at, MOST)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(OsStr::from_bytes(&bytes[..end]).to_string_lossy().into_owned())
    }
}
