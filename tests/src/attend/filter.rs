//! Which system calls are held: those by which a daemon changes the kernel or a file.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_long, sock_filter};

/// Whatever their arguments.
const HELD: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
];

/// Held only to write.
const OPEN: c_long = libc::SYS_openat;
const TO_WRITE: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT;

/// Classic BPF on `seccomp_data`: the number of the system call, then for OPEN the lower half of its
/// third argument (little-endian).
pub(super) fn program() -> Vec<sock_filter> {
    const NUMBER: u32 = 0;
    const FLAGS: u32 = 16 + 2 * 8;
    let load = |offset| stmt(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let result = |action| stmt(libc::BPF_RET | libc::BPF_K, action);
    let (hold, go) = (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW);
    let mut program = vec![load(NUMBER)];
    for number in HELD {
        program.push(jump(libc::BPF_JEQ, *number as u32, 0, 1));
        program.push(result(hold));
    }
    program.push(jump(libc::BPF_JEQ, OPEN as u32, 1, 0));
    program.push(result(go));
    program.push(load(FLAGS));
    program.push(jump(libc::BPF_JSET, TO_WRITE.cast_unsigned(), 1, 0));
    program.push(result(go));
    program.push(result(hold));
    program
}

fn stmt(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | condition | libc::BPF_K) as u16, jt, jf, k }
}

/// Has the system calls of this process and its children held; who holds the descriptor hears of them. It
/// allocates nothing.
pub(super) fn install(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let program =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which is there for the length of the call.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let listener = Errno::result(listener)?;
    // SAFETY: the kernel has just given it to this process, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as i32) })
}
