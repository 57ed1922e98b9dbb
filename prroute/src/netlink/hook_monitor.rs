//! Hearing that our filters, or the qdisc under them, were removed.

use std::collections::BTreeSet;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc::{self, RTM_DELQDISC, RTM_DELTFILTER, RTM_NEWTFILTER};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::NetlinkError;
use super::clsact::{CLSACT_HANDLE, HANDLE};
use super::request::{register, split};
use crate::state::uplink::Ifindex;

/// Bytes. Notifications about qdiscs and filters are short; a longer one is cut off behind the part that is
/// read.
const BUFFER: usize = 8 * 1024;

/// A socket of its own: other programs may change qdiscs and filters by the thousand, and what is lost
/// here costs no more than a look at our own.
#[derive(Debug)]
pub struct HookMonitor {
    fd: AsyncFd<netlink_sys::Socket>,
    buffer: Vec<u8>,
    watched: BTreeSet<Ifindex>,
}

impl HookMonitor {
    /// Listens to the calling thread's network namespace. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open() -> Result<Self, NetlinkError> {
        let listen = || {
            let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.set_non_blocking(true)?;
            socket.add_membership(libc::RTNLGRP_TC)?;
            register(socket)
        };
        let fd = listen().map_err(failed("listen to changes of filters"))?;
        Ok(Self { fd, buffer: Vec::with_capacity(BUFFER), watched: BTreeSet::new() })
    }

    /// Names the interfaces that have filters of ours, replacing those named before.
    pub fn watch(&mut self, ifindexes: impl IntoIterator<Item = Ifindex>) {
        self.watched = ifindexes.into_iter().collect();
    }

    /// Waits until a filter of ours may be gone. Can be cancelled without loss.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub async fn next(&mut self) -> Result<(), NetlinkError> {
        loop {
            self.buffer.clear();
            let buffer = &mut self.buffer;
            let received = self.fd.async_io(Interest::READABLE, |socket| socket.recv(buffer, 0));
            match received.await {
                Ok(_) if concerns(&self.buffer, &self.watched) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Err(error) => return Err(failed("read changes of filters")(error)),
            }
        }
    }
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError::Socket { operation, source }
}

/// Whether a datagram says that a filter at the place of ours, or the qdisc under it, is gone or
/// another one. Nothing else of it is decoded: most is about devices of others.
fn concerns(datagram: &[u8], watched: &BTreeSet<Ifindex>) -> bool {
    let mut rest = datagram;
    while let Some((message, behind)) = split(rest) {
        rest = behind;
        // `struct nlmsghdr`, then `struct tcmsg`: family, interface, handle, parent.
        let kind = message.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        let (Some(kind), Some(ifindex), Some(handle), Some(parent)) =
            (kind, word(message, 20), word(message, 24), word(message, 28))
        else {
            continue;
        };
        let is_ours = match kind {
            RTM_DELQDISC => handle == u32::from(CLSACT_HANDLE),
            // Handle 0: all of a priority.
            RTM_NEWTFILTER | RTM_DELTFILTER => {
                parent & 0xffff_0000 == u32::from(CLSACT_HANDLE)
                    && (handle == u32::from(HANDLE) || (handle == 0 && kind == RTM_DELTFILTER))
            }
            _ => false,
        };
        if is_ours && watched.contains(&Ifindex(ifindex)) {
            return true;
        }
    }
    false
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLSACT_EGRESS: u32 = 0xffff_fff3;
    const OURS: u32 = 0x7072;

    fn announced(kind: u16, ifindex: u32, handle: u32, parent: u32) -> bool {
        let mut message = vec![0; 36];
        message[..4].copy_from_slice(&36_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        for (at, word) in [(20, ifindex), (24, handle), (28, parent)] {
            message[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        // Behind another one.
        let mut datagram = message.clone();
        datagram[4..6].copy_from_slice(&36_u16.to_ne_bytes());
        datagram.extend(message);
        concerns(&datagram, &[Ifindex(7)].into())
    }

    #[test]
    fn what_takes_our_filter_away_is_news() {
        assert!(announced(RTM_DELQDISC, 7, 0xffff_0000, 0xffff_fff1));
        assert!(announced(RTM_DELTFILTER, 7, OURS, CLSACT_EGRESS));
        assert!(announced(RTM_DELTFILTER, 7, 0, CLSACT_EGRESS), "all of a priority");
        assert!(announced(RTM_NEWTFILTER, 7, OURS, CLSACT_EGRESS), "another program in its place");
    }

    #[test]
    fn what_others_do_is_none() {
        assert!(!announced(RTM_DELQDISC, 8, 0xffff_0000, 0xffff_fff1), "another device");
        assert!(!announced(RTM_DELQDISC, 7, 0x8001_0000, 0xffff_ffff), "the root qdisc");
        assert!(!announced(RTM_NEWTFILTER, 7, 1, CLSACT_EGRESS), "a filter beside ours");
        assert!(!announced(RTM_DELTFILTER, 7, OURS, 0x8001_0000), "a filter of another qdisc");
        assert!(!announced(libc::RTM_NEWQDISC, 7, 0xffff_0000, 0xffff_fff1), "a new qdisc");
        assert!(!concerns(&[40, 0, 0, 0, 37, 0], &[Ifindex(7)].into()), "cut off");
    }
}
