//! Packets to a gateway.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::state::uplink::Ifindex;

/// Twice each, as a packet may be lost.
const ATTEMPTS: u8 = 2;
const PATIENCE: Duration = Duration::from_millis(300);
const IP_HEADER: u32 = 20;
const ICMP_HEADER: usize = 8;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// The port nobody listens on: discard.
const DISCARD: u16 = 9;

/// Sends a byte, so that the kernel asks for the link-layer address.
pub(super) fn touch(device: &str, ifindex: Ifindex, gateway: IpAddr) -> io::Result<()> {
    let any = if gateway.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let udp = UdpSocket::bind(any)?;
    setsockopt(&udp, sockopt::BindToDevice, &OsString::from(device))?;
    match gateway {
        IpAddr::V4(gateway) => udp.send_to(&[0], SocketAddrV4::new(gateway, DISCARD)),
        IpAddr::V6(gateway) => udp.send_to(&[0], SocketAddrV6::new(gateway, DISCARD, 0, ifindex.0)),
    }
    .map(drop)
}

/// Whether a ping of `size` bytes, IPv4 header included, that nobody may divide is answered.
pub(super) fn ping(device: &str, gateway: Ipv4Addr, size: u32) -> io::Result<bool> {
    let (socket, is_raw) = open()?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(device))?;
    let patience = i64::try_from(PATIENCE.as_micros()).unwrap_or(i64::MAX);
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, patience))?;
    never_fragment(&socket)?;
    let to = SockaddrIn::from(SocketAddrV4::new(gateway, 0));
    let length = usize::try_from(size.saturating_sub(IP_HEADER)).unwrap_or_default();
    for attempt in 1..=ATTEMPTS {
        let packet = request(length.max(ICMP_HEADER), size, attempt);
        match sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty()) {
            Ok(_) => {}
            // The gateway's link-layer address is not known, or the packet is too big for the device, or
            // for the one at the other end of a veth.
            Err(Errno::EMSGSIZE | Errno::EHOSTUNREACH | Errno::ENOBUFS) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let end = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 1 << 16];
        while Instant::now() < end {
            let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EAGAIN | Errno::EINTR | Errno::EHOSTUNREACH) => break,
                Err(errno) => return Err(errno.into()),
            };
            if is_reply(&buffer[..length], is_raw, &packet) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A socket for pings: what everybody may open where the administrator allows it, else what root may.
fn open() -> io::Result<(OwnedFd, bool)> {
    let open = |kind| socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp);
    match open(SockType::Raw) {
        Ok(socket) => Ok((socket, true)),
        Err(_) => Ok((open(SockType::Datagram)?, false)),
    }
}

/// Sends packets of any size that the device takes, with the flag that forbids to divide them.
fn never_fragment(socket: &OwnedFd) -> io::Result<()> {
    let mode = libc::IP_PMTUDISC_PROBE;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an int, which lives as long as the call, and so is its length.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const mode).cast(),
            length,
        )
    };
    Errno::result(set).map(drop).map_err(io::Error::from)
}

/// An echo request that its reply can be told by: by the size in the sequence number, and the attempt.
fn request(length: usize, size: u32, attempt: u8) -> Vec<u8> {
    let mut packet = vec![attempt; length];
    packet[..4].copy_from_slice(&[ECHO_REQUEST, 0, 0, 0]);
    packet[4..6].copy_from_slice(&0x5052_u16.to_be_bytes());
    let number = u16::try_from(size).unwrap_or(u16::MAX);
    packet[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// Behind the IP header, where there is one: the same sequence number and contents. A socket for
/// everybody has its own identifier.
fn is_reply(received: &[u8], is_raw: bool, request: &[u8]) -> bool {
    let header = match received.first() {
        Some(first) if is_raw => usize::from(first & 0xf) * 4,
        _ => 0,
    };
    received
        .get(header..)
        .is_some_and(|icmp| icmp.first() == Some(&ECHO_REPLY) && icmp.get(6..) == request.get(6..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_told_from_requests_and_from_other_replies() {
        let sent = request(100, 120, 1);
        assert_eq!(checksum(&sent), 0);
        let mut reply = sent.clone();
        reply[0] = ECHO_REPLY;
        assert!(is_reply(&reply, false, &sent));
        assert!(!is_reply(&sent, false, &sent));
        assert!(!is_reply(&reply, false, &request(100, 120, 2)));
        assert!(!is_reply(&reply[..50], false, &sent));
        let raw = [&[0x45; 20], reply.as_slice()].concat();
        assert!(is_reply(&raw, true, &sent) && !is_reply(&[], true, &sent));
    }
}
