//! Which socket a packet comes to. The kernel looks it up as it does for the packet (linux/inet_diag.h): by
//! addresses, ports, the device that a socket is bound to, and families that a socket hears.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::NLM_F_REQUEST;
use netlink_sys::SocketAddr as NetlinkAddress;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::libc::{self, MSG_DONTWAIT};
use nix::sys::utsname::uname;

use super::request::split;
use crate::state::uplink::Ifindex;

/// `SOCK_DIAG_BY_FAMILY`, which libc does not have.
const BY_FAMILY: u16 = 20;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const HEADER: usize = size_of::<libc::nlmsghdr>();
/// `struct inet_diag_sockid` without its cookie, and `INET_DIAG_NOCOOKIE`.
const NO_COOKIE: [u8; 8] = [0xff; 8];
const ANSWER: usize = 72;

/// A socket that hears a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// `TCP_*`.
    pub state: u8,
    pub local: SocketAddr,
    /// The device that it is bound to.
    pub device: Option<Ifindex>,
    /// The user that it belongs to, for whom rules may choose another route; `None`: not told.
    pub uid: Option<u32>,
    pub inode: u32,
}

impl Found {
    /// It has no address of its own: what it sends without a source gets one by its route.
    pub fn is_wildcard(&self) -> bool {
        self.local.ip().is_unspecified()
    }
}

/// The socket of TCP or UDP that a packet comes to which came in by `on`; `None`: there is none.
///
/// # Errors
///
/// When the kernel cannot be asked, or would have to load a module for it.
pub fn hearing(
    protocol: u8,
    (remote, local): (SocketAddr, SocketAddr),
    on: Ifindex,
) -> io::Result<Option<Found>> {
    let module = if i32::from(protocol) == libc::IPPROTO_TCP { "tcp_diag" } else { "udp_diag" };
    if !is_there(module) {
        let text = format!("the kernel's module {module} is not loaded");
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let mut socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?;
    socket.send(&request(protocol, remote, local, on), 0)?;
    let mut buffer = Vec::with_capacity(8192);
    // The kernel has answered when it returns from the system call before.
    socket.recv(&mut buffer, MSG_DONTWAIT)?;
    let (message, _) = split(&buffer).ok_or_else(cut_off)?;
    match message.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]])) {
        Some(BY_FAMILY) => answer(message).map(Some).ok_or_else(cut_off),
        Some(ERROR) => refused(message),
        _ => Err(cut_off()),
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer about a socket is cut off")
}

fn refused(message: &[u8]) -> io::Result<Option<Found>> {
    let code = message.get(HEADER..HEADER + 4).and_then(|code| code.try_into().ok());
    match code.map_or(0, i32::from_ne_bytes) {
        0 => Err(cut_off()),
        code if code == -libc::ENOENT => Ok(None),
        code => Err(io::Error::from_raw_os_error(code.saturating_abs())),
    }
}

/// It is loaded, part of the kernel, or cannot be loaded by asking.
fn is_there(module: &str) -> bool {
    let Ok(loaded) = fs::read_to_string("/proc/modules") else { return true };
    if loaded.lines().any(|line| line.split(' ').next() == Some(module)) {
        return true;
    }
    let Ok(name) = uname() else { return false };
    let path = format!("/lib/modules/{}/modules.builtin", name.release().to_string_lossy());
    let built_in = fs::read_to_string(path).unwrap_or_default();
    built_in.lines().any(|line| line.ends_with(&format!("/{module}.ko")))
}

/// `struct inet_diag_req_v2`.
fn request(protocol: u8, remote: SocketAddr, local: SocketAddr, on: Ifindex) -> Vec<u8> {
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // For UDP the kernel takes the ends the other way round.
    let (source, destination) =
        if i32::from(protocol) == libc::IPPROTO_UDP { (remote, local) } else { (local, remote) };
    let mut bytes = vec![0; HEADER];
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([u8::try_from(family).unwrap_or_default(), protocol, 0, 0]);
    // Every state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(octets(source.ip()));
    bytes.extend(octets(destination.ip()));
    bytes.extend(on.0.to_ne_bytes());
    bytes.extend(NO_COOKIE);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&address.octets());
            all
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// `struct inet_diag_msg`.
fn answer(message: &[u8]) -> Option<Found> {
    let body = message.get(HEADER..HEADER + ANSWER)?;
    let word = |at: usize| Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let address: [u8; 16] = body.get(8..24)?.try_into().ok()?;
    let address = match i32::from(body[0]) {
        libc::AF_INET => Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(),
        _ => IpAddr::from(Ipv6Addr::from(address)).to_canonical(),
    };
    Some(Found {
        state: body[1],
        local: SocketAddr::new(address, u16::from_be_bytes([body[4], body[5]])),
        device: word(40).filter(|index| *index != 0).map(Ifindex),
        uid: Some(word(64)?),
        inode: word(68)?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    const LOOPBACK: Ifindex = Ifindex(1);

    fn found(protocol: i32, local: SocketAddr) -> Option<Found> {
        let remote = SocketAddr::new(local.ip(), 1);
        hearing(u8::try_from(protocol).unwrap(), (remote, local), LOOPBACK).unwrap()
    }

    #[test]
    fn the_socket_that_hears_a_packet_is_found_as_the_kernel_finds_it() {
        let wildcard = TcpListener::bind("[::]:0").unwrap();
        let port = wildcard.local_addr().unwrap().port();
        let listens = found(libc::IPPROTO_TCP, ([127, 0, 0, 1], port).into()).unwrap();
        assert!(listens.is_wildcard() && listens.state == 10, "{listens:?}");
        assert_eq!(listens.uid, Some(nix::unistd::getuid().as_raw()));
        let specific = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = specific.local_addr().unwrap();
        assert_eq!(found(libc::IPPROTO_TCP, address).map(|it| it.local), Some(address));
        assert_eq!(found(libc::IPPROTO_TCP, ([127, 0, 0, 2], address.port()).into()), None);
    }

    #[test]
    fn one_of_udp_is_found_by_the_end_that_is_local() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        assert_eq!(found(libc::IPPROTO_UDP, address).map(|it| it.local), Some(address));
        drop(udp);
        assert_eq!(found(libc::IPPROTO_UDP, address), None);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let whole = vec![0; HEADER + ANSWER];
        assert!(answer(&whole).is_some());
        assert!((0..whole.len()).all(|length| answer(&whole[..length]).is_none()));
    }
}
