//! A point-to-point link between two tun devices: packets without any link layer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns::Namespace;
use crate::socket;

/// Two connected tun devices, which go when this is dropped.
#[derive(Debug)]
pub struct Tunnel {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Tunnel {
    /// Makes both devices and sets them up; addresses are the caller's.
    pub fn between(one: (&Namespace, &str), other: (&Namespace, &str)) -> Result<Self> {
        let (one, other) = (open(one.0, one.1)?, open(other.0, other.1)?);
        let clone = |file: &File| file.try_clone().context("share a tun device");
        let (one_again, other_again) = (clone(&one)?, clone(&other)?);
        let stop: Arc<AtomicBool> = Arc::default();
        let (first, second) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            std::thread::spawn(move || carry(one, other_again, &first)),
            std::thread::spawn(move || carry(other, one_again, &second)),
        ];
        Ok(Self { stop, threads })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a tunnel panicked");
            }
        }
    }
}

fn open(namespace: &Namespace, name: &str) -> Result<File> {
    let file = namespace.inside(|| {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .context("open /dev/net/tun")?;
        // SAFETY: a structure of integers and arrays of them may be zero.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the descriptor is open, and `request` is a live structure that the kernel
        // fills for this request.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        Errno::result(made).with_context(|| format!("make the tun device {name}"))?;
        Ok(file)
    })?;
    namespace.ip(&format!("link set {name} up"))?;
    Ok(file)
}

/// Every packet that leaves by one device comes in by the other.
fn carry(mut from: File, mut to: File, stop: &AtomicBool) {
    let mut packet = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut ready, PollTimeout::from(50_u8)), Ok(1..)) {
            continue;
        }
        match socket::uninterrupted(|| from.read(&mut packet)) {
            // A device that is down refuses packets; so would a line.
            Ok(length) => drop(to.write(&packet[..length])),
            Err(_) => return,
        }
    }
}
