//! Packets of many flows, made by writing over those of one. Their checksums are not kept right: the
//! programs do not look at them.

use std::net::IpAddr;

use anyhow::Result;
use prroute_tests::frame::{Flags as FrameFlags, Way};

/// Of a TCP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const SYN: Self = Self(0x02);
    pub(super) const SYN_ACK: Self = Self(0x12);
    pub(super) const ACK: Self = Self(0x10);
    pub(super) const FIN: Self = Self(0x11);
}

/// An address, or the last 16 bits of the one that is there, and a port.
pub(super) type End = (Option<IpAddr>, Option<u16>, u16);

const ETHERNET: usize = 14;

/// One packet; which family and protocol it is of stays.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    /// Where the addresses and the transport header begin.
    source: usize,
    destination: usize,
    transport: usize,
}

impl Packet {
    pub(super) fn between(source: IpAddr, target: IpAddr, is_tcp: bool) -> Result<Self> {
        let way =
            Way { source_mac: [2, 0, 0, 0, 0, 1], target_mac: [2, 0, 0, 0, 0, 2], source, target };
        let flags = FrameFlags { ack: true, ..FrameFlags::default() };
        let bytes = match is_tcp {
            true => way.tcp((1, 1), flags, (1, 1), &[])?,
            false => way.udp((1, 1), &[0; 16])?,
        };
        let (addresses, size, transport) = if source.is_ipv4() { (12, 4, 20) } else { (8, 16, 40) };
        let source = ETHERNET + addresses;
        Ok(Self { bytes, source, destination: source + size, transport: ETHERNET + transport })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its link-layer destination.
    pub(super) fn set_destination_mac(&mut self, mac: [u8; 6]) {
        self.write(0, &mac);
    }

    pub(super) fn set_ends(&mut self, from: End, to: End) {
        for (at, port, (address, low, number)) in
            [(self.source, 0, from), (self.destination, 2, to)]
        {
            match address {
                Some(IpAddr::V4(address)) => self.write(at, &address.octets()),
                Some(IpAddr::V6(address)) => self.write(at, &address.octets()),
                None => {}
            }
            if let Some(low) = low {
                let size = self.destination - self.source;
                self.write(at + size - 2, &low.to_be_bytes());
            }
            self.write(self.transport + port, &number.to_be_bytes());
        }
    }

    /// Flags, and the numbers of what it begins with and what it acknowledges.
    pub(super) fn set_tcp(&mut self, flags: Flags, (sequence, acknowledged): (u32, u32)) {
        self.write(self.transport + 4, &sequence.to_be_bytes());
        self.write(self.transport + 8, &acknowledged.to_be_bytes());
        self.write(self.transport + 13, &[flags.0]);
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
