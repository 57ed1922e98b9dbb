//! A guest's datagrams, which the host forwards over its default route; nobody answers them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use prroute_tests::netns::Namespace;
use prroute_tests::socket;

use crate::host::Host;
use crate::rounds::Work;

/// An address of nobody: the router drops what is for it.
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const DISCARD: u16 = 9;

/// Datagrams of one flow.
pub(crate) struct Sends {
    name: String,
    socket: UdpSocket,
}

impl Sends {
    /// From a socket without an address in `namespace`.
    pub(crate) fn open(name: String, namespace: &Namespace) -> Result<Self> {
        let socket = socket::udp(namespace, IpAddr::from(Ipv4Addr::UNSPECIFIED), 0)?;
        Ok(Self { name, socket })
    }

    /// From the guest of a host.
    pub(crate) fn of_guest(host: &Host) -> Result<Self> {
        let guest = host.behind.as_ref().context("nobody is behind the host")?;
        Self::open(host.variant.name.to_owned(), guest)
    }
}

impl Work for Sends {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let target = SocketAddr::from((FAR, DISCARD));
        for _ in 0..times {
            self.socket.send_to(&[7; 64], target).context("send a datagram")?;
        }
        Ok(())
    }
}
