//! A program that is held before each step by which it changes something, until somebody has looked at
//! the step: at a named moment it is killed, or a step fails, or something else happens first.
//!
//! The kernel holds its system calls (seccomp_unotify(2), with Linux 5.9's end of the listener).

mod filter;
mod step;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// It is not made, and the program hears this.
    Fail(Errno),
    /// It is not made: the program is killed (SIGKILL).
    Kill,
}

/// The steps of a program that was started.
#[derive(Debug)]
pub struct Attended {
    steps: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<Result<()>>,
}

impl Attended {
    /// `command` will be held at each step until `judge` has said what becomes of it. Its environment
    /// is what it was; the steps of programs that it starts count as its own.
    pub fn prepare(
        command: &mut Command,
        judge: impl FnMut(&str) -> Verdict + Send + 'static,
    ) -> Result<Self> {
        let pipe = || pipe2(nix::fcntl::OFlag::O_CLOEXEC).context("make a pipe");
        let ((from_child, to_parent), (from_parent, to_child)) = (pipe()?, pipe()?);
        let program = filter::program();
        let hand_over = move || {
            let listener = filter::install(&program)?;
            let mut message = [0; 8];
            message[..4].copy_from_slice(&std::process::id().to_ne_bytes());
            message[4..].copy_from_slice(&listener.as_raw_fd().to_ne_bytes());
            nix::unistd::write(&to_parent, &message)?;
            // The parent has it once it says so.
            nix::unistd::read(&from_parent, &mut [0])?;
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made, on memory that is there: nothing is
        // allocated, and no lock is taken.
        unsafe { command.pre_exec(hand_over) };
        let steps = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&steps);
        let thread = std::thread::spawn(move || {
            let Some((listener, pid)) = receive(from_child.into(), to_child.into())? else {
                return Ok(());
            };
            attend(&listener, pid, &seen, judge)
        });
        Ok(Self { steps, thread })
    }

    /// The steps so far, in their order.
    pub fn steps(&self) -> Vec<String> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All steps, of a program that has ended.
    pub fn finish(self) -> Result<Vec<String>> {
        self.thread.join().map_err(|_| anyhow!("the judge panicked"))??;
        Ok(std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The listener and the process it listens to; `None`: the process was not started.
fn receive(mut from_child: File, mut to_child: File) -> Result<Option<(OwnedFd, Pid)>> {
    let mut message = [0; 8];
    match from_child.read_exact(&mut message) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other.context("read the pipe")?,
    }
    let word = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|byte| message[at + byte]));
    let (pid, listener) = (Pid::from_raw(word(0)), word(4));
    // SAFETY: it takes two numbers and opens a descriptor.
    let pidfd = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
        .context("open the process")?;
    // SAFETY: likewise; `pidfd` is open.
    let got = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), listener, 0) };
    let listener = owned(got).context("take the listener")?;
    to_child.write_all(&[0]).context("answer the process")?;
    Ok(Some((listener, pid)))
}

/// The descriptor that a system call has opened.
fn owned(result: libc::c_long) -> Result<OwnedFd> {
    let result = Errno::result(result)?;
    // SAFETY: the kernel has just given it to this process, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(result).context("a descriptor")?) })
}

fn attend(
    listener: &OwnedFd,
    pid: Pid,
    seen: &Mutex<Vec<String>>,
    mut judge: impl FnMut(&str) -> Verdict,
) -> Result<()> {
    while let Some(held) = next(listener)? {
        let Some(step) = step::of(&held) else {
            answer(listener, &held, Verdict::Go)?;
            continue;
        };
        // Whoever is told of a step finds it among those that are seen.
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(step.clone());
        match judge(&step) {
            Verdict::Kill => kill(pid, Signal::SIGKILL).context("kill the program")?,
            verdict => answer(listener, &held, verdict)?,
        }
    }
    Ok(())
}

/// The next system call that is held; `None`: the program has ended.
fn next(listener: &OwnedFd) -> Result<Option<libc::seccomp_notif>> {
    use std::os::fd::AsFd as _;
    loop {
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other.context("wait for a system call")?,
        };
        let events = polled[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            ensure!(events.contains(PollFlags::POLLHUP), "the listener says {events:?}");
            return Ok(None);
        }
        // SAFETY: all its fields are numbers.
        let mut held: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills in one such struct.
        let received = unsafe {
            libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut held)
        };
        match Errno::result(received) {
            Ok(_) => return Ok(Some(held)),
            // A signal came, or the program was killed in between.
            Err(Errno::EINTR | Errno::ENOENT) => {}
            Err(errno) => return Err(errno).context("receive a system call"),
        }
    }
}

fn answer(listener: &OwnedFd, held: &libc::seccomp_notif, verdict: Verdict) -> Result<()> {
    let mut answer = libc::seccomp_notif_resp { id: held.id, val: 0, error: 0, flags: 0 };
    match verdict {
        Verdict::Fail(errno) => answer.error = -(errno as i32),
        _ => answer.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE)?,
    }
    // SAFETY: the kernel reads one such struct.
    let sent = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)
    };
    match Errno::result(sent) {
        // It does not wait any more: it was killed, or a signal came, and it will ask again.
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno).context("answer a system call"),
    }
}
