//! Whom the attack is about: flows over other uplinks than the attacker's.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo;
use prroute_tests::lab::Lab;
use prroute_tests::socket;
use prroute_tests::wait;

use super::{PATIENCE, PORT};

/// A connection or datagram flow, as the attacker knows it: both ends.
pub(crate) struct Victim {
    /// The uplink it belongs to.
    pub(crate) uplink: u8,
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tcp: TcpStream,
    pub(crate) udp: Option<(UdpSocket, u16)>,
}

impl Victim {
    /// A client of uplink `uplink` asks the shared address.
    pub(crate) fn inbound(lab: &Lab, uplink: u8, family: Family) -> Result<Self> {
        let (source, target) = (addressing::client(uplink, family), addressing::shared(family));
        let tcp = socket::tcp(&lab.client, source, target, PORT)?;
        let udp = socket::udp(&lab.client, source, 0)?;
        let port = udp.local_addr()?.port();
        let (remote, local) = (tcp.local_addr()?, tcp.peer_addr()?);
        let mut victim = Self { uplink, remote, local, tcp, udp: Some((udp, port)) };
        victim.tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
        for _ in 0..3 {
            victim.is_alive()?;
        }
        Ok(victim)
    }

    /// The host asks a client, by uplink 1.
    pub(crate) fn by_host(lab: &Lab, family: Family) -> Result<Self> {
        let (source, target) = (addressing::shared(family), addressing::client(1, family));
        let tcp = socket::tcp(&lab.host, source, target, PORT)?;
        tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
        let (local, remote) = (tcp.local_addr()?, tcp.peer_addr()?);
        let mut victim = Self { uplink: 1, remote, local, tcp, udp: None };
        victim.is_alive()?;
        Ok(victim)
    }

    pub(crate) fn is_alive(&mut self) -> Result<()> {
        self.tcp_is_alive()?;
        if let Some((udp, _)) = &self.udp {
            ensure!(
                echo::udp_round(udp, self.local, 64)?,
                "no answer to {} from {}",
                self.remote,
                self.local
            );
        }
        Ok(())
    }

    pub(crate) fn tcp_is_alive(&mut self) -> Result<()> {
        echo::tcp_round(&mut self.tcp, 64)
            .with_context(|| format!("{} with {}, uplink {}", self.remote, self.local, self.uplink))
    }
}

/// A connection over uplink 1 whose end at the host can abort it.
pub(crate) struct Abortable {
    client: TcpStream,
    server: TcpStream,
}

impl Abortable {
    const PORT: u16 = 7010;

    pub(crate) fn connect(lab: &Lab, family: Family) -> Result<Self> {
        let (source, target) = (addressing::client(1, family), addressing::shared(family));
        let listener = socket::listen(&lab.host, target, Self::PORT)?;
        let client = socket::tcp(&lab.client, source, target, Self::PORT)?;
        let (server, _) = listener.accept().context("accept")?;
        Ok(Self { client, server })
    }

    pub(crate) fn as_victim(&self) -> Result<Victim> {
        let (remote, local) = (self.client.local_addr()?, self.client.peer_addr()?);
        let tcp = self.client.try_clone()?;
        Ok(Victim { uplink: 1, remote, local, tcp, udp: None })
    }

    /// Sends RST, and waits until the client has it.
    pub(crate) fn abort(mut self) -> Result<()> {
        socket::abort(self.server)?;
        let end = socket::uninterrupted(|| std::io::Read::read(&mut self.client, &mut [0; 8]));
        let kind = end.err().map(|error| error.kind());
        ensure!(kind == Some(std::io::ErrorKind::ConnectionReset), "instead of a reset: {kind:?}");
        Ok(())
    }
}
