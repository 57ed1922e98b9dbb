//! Small packets of new flows, as fast as they can be made: a flood of SYNs from everywhere.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::frame::{Flags, Way, Wire, mac};
use prroute_tests::socket;

use crate::host::Host;
use crate::rounds::Work;

/// Frames that are made once and sent again with another source each time.
pub(crate) struct SynFlood {
    name: String,
    wire: Wire,
    frame: Vec<u8>,
    random: fastrand::Rng,
    /// Takes the first segments, as a server under attack does.
    _listener: std::net::TcpListener,
}

/// Where Ethernet's and IPv4's headers have what changes.
const IP: usize = 14;
const IP_CHECKSUM: usize = IP + 10;
const SOURCE: usize = IP + 12;
const SOURCE_PORT: usize = IP + 20;
const TCP_CHECKSUM: usize = SOURCE_PORT + 16;

impl SynFlood {
    pub(crate) fn open(host: &Host, port: u16) -> Result<Self> {
        let family = Family::V4;
        let asked = Host::asked(family);
        let listener = socket::listen(&host.host, asked, port)?;
        let way = Way {
            source_mac: mac(&addressing::gateway_mac(2))?,
            target_mac: mac(&addressing::host_mac(2))?,
            source: IpAddr::from([198, 18, 0, 1]),
            target: asked,
        };
        let flags = Flags { syn: true, ..Flags::default() };
        let frame = way.tcp((1024, port), flags, (1, 0), &[])?;
        let wire = Wire::open(&host.peer, "w2")?;
        let name = host.variant.name.to_owned();
        Ok(Self { name, wire, frame, random: fastrand::Rng::with_seed(11), _listener: listener })
    }

    /// Another source address of 198.18.0.0/15 and another port; both checksums are kept right
    /// (RFC 1624).
    fn next(&mut self) {
        let host = self.random.u16(1..u16::MAX);
        let port = self.random.u16(1024..u16::MAX);
        let old_host = self.word(SOURCE + 2);
        let old_port = self.word(SOURCE_PORT);
        self.correct(IP_CHECKSUM, old_host, host);
        self.correct(TCP_CHECKSUM, old_host, host);
        self.correct(TCP_CHECKSUM, old_port, port);
        self.put(SOURCE + 2, host);
        self.put(SOURCE_PORT, port);
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.frame[at], self.frame[at + 1]])
    }

    fn put(&mut self, at: usize, word: u16) {
        self.frame[at..at + 2].copy_from_slice(&word.to_be_bytes());
    }

    fn correct(&mut self, checksum: usize, old: u16, new: u16) {
        let mut sum = u32::from(!self.word(checksum)) + u32::from(!old) + u32::from(new);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        self.put(checksum, !(sum as u16));
    }
}

impl Work for SynFlood {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        for _ in 0..times {
            self.next();
            self.wire.send(&self.frame).context("send a SYN")?;
        }
        Ok(())
    }
}
