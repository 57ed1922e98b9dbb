//! TCP requests and responses, made by one thread: as in `udp`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::socket;

use super::{ANSWER, PAYLOAD};
use crate::host::Host;
use crate::rounds::Work;
use crate::visit::Visit;

/// Established TCP connections, in turn.
pub(crate) struct Tcp {
    name: String,
    connections: Vec<(TcpStream, TcpStream)>,
    next: usize,
}

/// Both ends of new connections from the peer to the host.
pub(super) fn connect(
    host: &Host,
    family: Family,
    port: u16,
    count: usize,
) -> Result<Vec<(TcpStream, TcpStream)>> {
    let (namespace, address) = host.server(family, port);
    let listener = host.serving(|| socket::listen(namespace, address.ip(), address.port()))?;
    let connections = (0..count).map(|_| {
        let client = socket::tcp(&host.peer, Host::client(family), Host::asked(family), port)?;
        let (server, _) = listener.accept().context("accept a connection")?;
        for end in [&client, &server] {
            end.set_nodelay(true).context("send at once")?;
            end.set_read_timeout(Some(ANSWER)).context("set a read timeout")?;
        }
        Ok((client, server))
    });
    connections.collect()
}

impl Tcp {
    pub(crate) fn open(host: &Host, family: Family, port: u16, flows: usize) -> Result<Self> {
        let connections = connect(host, family, port, flows)?;
        Ok(Self { name: host.variant.name.to_owned(), connections, next: 0 })
    }
}

impl Work for Tcp {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let mut buffer = [0; 128];
        for _ in 0..times {
            let (client, server) = &mut self.connections[self.next];
            client.write_all(&PAYLOAD).context("send a request")?;
            let length = server.read(&mut buffer).context("no request came")?;
            server.write_all(&buffer[..length]).context("send a response")?;
            let length = client.read(&mut buffer).context("no response came")?;
            ensure!(length == PAYLOAD.len(), "a response of {length} bytes");
            self.next = (self.next + 1) % self.connections.len();
        }
        Ok(())
    }
}

/// TCP connections that are opened for one request each.
pub(crate) struct Connections {
    name: String,
    peer: Visit,
    listener: TcpListener,
    asked: SocketAddr,
}

impl Connections {
    pub(crate) fn open(host: &Host, family: Family, port: u16) -> Result<Self> {
        let (namespace, address) = host.server(family, port);
        let listener = host.serving(|| socket::listen(namespace, address.ip(), address.port()))?;
        Ok(Self {
            name: host.variant.name.to_owned(),
            peer: Visit::to(&host.peer)?,
            listener,
            asked: SocketAddr::new(Host::asked(family), port),
        })
    }

    fn exchange(&self) -> Result<()> {
        let mut buffer = [0; 128];
        let mut client =
            TcpStream::connect(self.asked).with_context(|| format!("connect to {}", self.asked))?;
        let (mut server, _) = self.listener.accept().context("accept a connection")?;
        client.write_all(&PAYLOAD).context("send a request")?;
        let length = server.read(&mut buffer).context("no request came")?;
        server.write_all(&buffer[..length]).context("send a response")?;
        client.read(&mut buffer).context("no response came")?;
        drop(client);
        drop(server);
        Ok(())
    }
}

impl Work for Connections {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        self.peer.run(|| (0..times).try_for_each(|_| self.exchange()))
    }
}
