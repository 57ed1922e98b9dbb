//! A TCP stream.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use prroute_tests::addressing::Family;

use super::tcp::connect;
use crate::host::Host;
use crate::rounds::Work;

/// One TCP connection on which the host sends all the time.
pub(crate) struct Stream {
    name: String,
    client: TcpStream,
    server: TcpStream,
    chunk: Vec<u8>,
}

impl Stream {
    /// Bytes of one operation.
    const CHUNK: usize = 65_536;
    /// How many make a MiB.
    pub(crate) const PER_MIB: f64 = (1 << 20) as f64 / Self::CHUNK as f64;

    pub(crate) fn open(host: &Host, family: Family, port: u16) -> Result<Self> {
        let mut connections = connect(host, family, port, 1)?;
        let (client, server) = connections.remove(0);
        // Otherwise a chunk would not fit before the first one is acknowledged.
        setsockopt(&server, sockopt::SndBuf, &(8 * Self::CHUNK)).context("set SO_SNDBUF")?;
        setsockopt(&client, sockopt::RcvBuf, &(8 * Self::CHUNK)).context("set SO_RCVBUF")?;
        Ok(Self { name: host.variant.name.to_owned(), client, server, chunk: vec![7; Self::CHUNK] })
    }
}

impl Work for Stream {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        for _ in 0..times {
            self.server.write_all(&self.chunk).context("send a chunk")?;
            self.client.read_exact(&mut self.chunk).context("no chunk came")?;
        }
        Ok(())
    }
}
