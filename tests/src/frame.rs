//! Frames of one's own making, put on a device's wire: what an attacker sends, or a router that
//! forwards what no stack here would send.

use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail, ensure};
use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, PacketBuilder,
    PacketBuilderStep,
};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::netns::Namespace;

/// A device's wire.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// What is sent leaves by `device`; nothing is received.
    pub fn open(namespace: &Namespace, device: &str) -> Result<Self> {
        let socket = namespace.inside(|| {
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                None::<SockProtocol>,
            )
            .context("open a packet socket")?;
            let index = if_nametoindex(device).with_context(|| format!("find {device}"))?;
            // SAFETY: a structure of integers and an array of bytes may be zero.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = index.cast_signed();
            let length = size_of::<libc::sockaddr_ll>() as u32;
            // SAFETY: `address` is a live structure of the length that is told.
            let bound =
                unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
            Errno::result(bound).with_context(|| format!("bind a packet socket to {device}"))?;
            Ok(socket)
        })?;
        Ok(Self { socket })
    }

    /// Sends one frame, and waits for room in the queue.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match nix::unistd::write(&self.socket, frame) {
                Ok(sent) => {
                    ensure!(sent == frame.len(), "a frame was cut");
                    return Ok(());
                }
                Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::yield_now(),
                Err(error) => bail!("send a frame of {} bytes: {error}", frame.len()),
            }
        }
    }
}

/// A link-layer address as `ip` prints it.
pub fn mac(text: &str) -> Result<[u8; 6]> {
    let octets: Vec<u8> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16))
        .collect::<std::result::Result<_, _>>()
        .with_context(|| format!("a MAC address: {text}"))?;
    octets.try_into().map_err(|_| anyhow::anyhow!("not six octets: {text}"))
}

/// From whom to whom.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub source_mac: [u8; 6],
    pub target_mac: [u8; 6],
    pub source: IpAddr,
    pub target: IpAddr,
}

/// TCP's flags that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    pub syn: bool,
    pub ack: bool,
    pub rst: bool,
    pub fin: bool,
}

impl Way {
    fn ip(&self) -> Result<PacketBuilderStep<etherparse::IpHeaders>> {
        let ethernet = PacketBuilder::ethernet2(self.source_mac, self.target_mac);
        Ok(match (self.source, self.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let mut header =
                    Ipv4Header::new(0, 64, IpNumber(0), source.octets(), target.octets())
                        .context("build an IPv4 header")?;
                header.identification = 0x4711;
                ethernet.ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let header = Ipv6Header {
                    hop_limit: 64,
                    source: source.octets(),
                    destination: target.octets(),
                    ..Ipv6Header::default()
                };
                ethernet.ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
            }
            _ => bail!("{} and {} are of two families", self.source, self.target),
        })
    }

    /// A TCP segment.
    pub fn tcp(
        &self,
        (source_port, target_port): (u16, u16),
        flags: Flags,
        (sequence, acknowledgement): (u32, u32),
        payload: &[u8],
    ) -> Result<Vec<u8>> {
        let mut step = self.ip()?.tcp(source_port, target_port, sequence, 65535);
        if flags.syn {
            step = step.syn();
        }
        if flags.ack {
            step = step.ack(acknowledgement);
        }
        if flags.rst {
            step = step.rst();
        }
        if flags.fin {
            step = step.fin();
        }
        let mut frame = Vec::new();
        step.write(&mut frame, payload).context("write a TCP segment")?;
        Ok(frame)
    }

    /// A UDP datagram.
    pub fn udp(&self, (source_port, target_port): (u16, u16), payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.ip()?
            .udp(source_port, target_port)
            .write(&mut frame, payload)
            .context("write a UDP datagram")?;
        Ok(frame)
    }

    /// An echo request.
    pub fn echo_request(&self, identifier: u16) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        match self.source {
            IpAddr::V4(_) => {
                self.ip()?.icmpv4_echo_request(identifier, 1).write(&mut frame, &[0; 8])
            }
            IpAddr::V6(_) => {
                self.ip()?.icmpv6_echo_request(identifier, 1).write(&mut frame, &[0; 8])
            }
        }
        .context("write an echo request")?;
        Ok(frame)
    }

    /// An ICMP error (port unreachable) that quotes a packet of `target` to `source`, with these
    /// ports of `protocol`.
    pub fn unreachable(&self, protocol: u8, (near, far): (u16, u16)) -> Result<Vec<u8>> {
        let back = Self { source: self.target, target: self.source, ..*self };
        let mut quoted = match protocol {
            6 => back.tcp((near, far), Flags { ack: true, ..Flags::default() }, (1, 1), &[])?,
            _ => back.udp((near, far), b"quoted")?,
        };
        quoted.drain(..14);
        let mut frame = Vec::new();
        match self.source {
            IpAddr::V4(_) => {
                let kind = etherparse::Icmpv4Type::DestinationUnreachable(
                    etherparse::icmpv4::DestUnreachableHeader::Port,
                );
                self.ip()?.icmpv4(kind).write(&mut frame, &quoted)
            }
            IpAddr::V6(_) => {
                let kind = etherparse::Icmpv6Type::DestinationUnreachable(
                    etherparse::icmpv6::DestUnreachableCode::Port,
                );
                self.ip()?.icmpv6(kind).write(&mut frame, &quoted)
            }
        }
        .context("write an ICMP error")?;
        Ok(frame)
    }

    /// The packet of `frame`, which has no extension headers, in two fragments: the first has
    /// `length` bytes behind the IP header, a multiple of eight.
    pub fn fragments(&self, frame: &[u8], length: usize) -> Result<[Vec<u8>; 2]> {
        ensure!(length.is_multiple_of(8), "fragments are counted in eight bytes");
        let (headers, identification) = (14, 0x0815_4711_u32);
        let offset = IpFragOffset::try_new((length / 8) as u16).context("a fragment's offset")?;
        let part = |payload: &[u8], offset: IpFragOffset, more: bool| -> Result<Vec<u8>> {
            let mut part = frame[..headers].to_vec();
            match self.source {
                IpAddr::V4(_) => {
                    let (mut ip, _) =
                        Ipv4Header::from_slice(&frame[headers..]).context("read an IPv4 header")?;
                    ip.fragment_offset = offset;
                    ip.more_fragments = more;
                    ip.dont_fragment = false;
                    ip.set_payload_len(payload.len()).context("a fragment's length")?;
                    ip.header_checksum = ip.calc_header_checksum();
                    ip.write(&mut part).context("write a fragment")?;
                }
                IpAddr::V6(_) => {
                    let (mut ip, _) =
                        Ipv6Header::from_slice(&frame[headers..]).context("read an IPv6 header")?;
                    let next =
                        Ipv6FragmentHeader::new(ip.next_header, offset, more, identification);
                    ip.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
                    ip.set_payload_length(payload.len() + 8).context("a fragment's length")?;
                    ip.write(&mut part).context("write a fragment")?;
                    next.write(&mut part).context("write a fragment header")?;
                }
            }
            part.extend_from_slice(payload);
            Ok(part)
        };
        let header = if self.source.is_ipv4() { 20 } else { 40 };
        let payload = &frame[headers + header..];
        ensure!(payload.len() > length, "nothing is left for a second fragment");
        let (first, second) = payload.split_at(length);
        Ok([part(first, IpFragOffset::ZERO, true)?, part(second, offset, false)?])
    }
}
