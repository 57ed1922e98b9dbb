//! Raw sockets: protocols that this kernel has no other socket for, and packets whose headers
//! are of one's own making.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrStorage, bind, recvfrom, sendto, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::netns::Namespace;
use crate::socket;

/// Longer than any packet that is expected.
const BUFFER: usize = 65536;

/// A socket of one IP protocol, bound to one address.
#[derive(Debug)]
pub struct Raw {
    socket: OwnedFd,
    is_ipv4: bool,
}

impl Raw {
    /// Sends and receives what follows the IP header. Reads end after `timeout` milliseconds.
    pub fn open(namespace: &Namespace, local: IpAddr, protocol: u8, timeout: i64) -> Result<Self> {
        let raw = namespace.inside(|| Self::bound(local, protocol.into()))?;
        setsockopt(&raw.socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(timeout))
            .context("set a read timeout")?;
        Ok(raw)
    }

    /// Sends whole packets, IP header included; receives nothing.
    pub fn with_headers(namespace: &Namespace, local: IpAddr) -> Result<Self> {
        namespace.inside(|| Self::bound(local, libc::IPPROTO_RAW))
    }

    fn bound(local: IpAddr, protocol: i32) -> Result<Self> {
        let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: the call takes numbers only.
        let socket = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        let socket = Errno::result(socket)
            .with_context(|| format!("open a raw socket of protocol {protocol}"))?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, 0)))
            .with_context(|| format!("bind a raw socket to {local}"))?;
        Ok(Self { socket, is_ipv4: local.is_ipv4() })
    }

    /// SO_BINDTODEVICE.
    pub fn bind_to(&self, device: &str) -> Result<()> {
        setsockopt(&self.socket, sockopt::BindToDevice, &device.into())
            .with_context(|| format!("bind a raw socket to {device}"))
    }

    pub fn send(&self, target: IpAddr, bytes: &[u8]) -> Result<()> {
        let address = SockaddrStorage::from(SocketAddr::new(target, 0));
        sendto(self.socket.as_raw_fd(), bytes, &address, MsgFlags::empty())
            .map(drop)
            .with_context(|| format!("send {} bytes to {target}", bytes.len()))
    }

    /// What follows the IP header of the next packet, and who sent it; `None` after the timeout.
    pub fn receive(&self) -> Result<Option<(IpAddr, Vec<u8>)>> {
        let mut buffer = vec![0; BUFFER];
        let (length, from) = match socket::uninterrupted(|| self.receive_into(&mut buffer)) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("read a raw socket"),
        };
        buffer.truncate(length);
        if self.is_ipv4 {
            let header = usize::from(buffer.first().context("no IP header")? & 0x0f) * 4;
            buffer.drain(..header.min(length));
        }
        Ok(Some((from, buffer)))
    }

    fn receive_into(&self, buffer: &mut [u8]) -> std::io::Result<(usize, IpAddr)> {
        let (length, from) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), buffer)?;
        let from = from.and_then(|from| {
            let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
            v4.or(from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
        });
        let from = from.ok_or_else(|| std::io::Error::other("no sender"))?;
        Ok((length, from))
    }
}
