//! Requests and responses between sockets of two namespaces, made by one thread: the kernel
//! carries each packet to its receiver before the send returns, and no scheduler is involved.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use prroute_tests::addressing::Family;
use prroute_tests::socket;

use crate::host::Host;
use crate::rounds::Work;

/// An answer that takes longer is lost.
const ANSWER: Duration = Duration::from_secs(2);

/// Bytes of a request and of a response.
const PAYLOAD: [u8; 64] = [7; 64];

fn client_socket(host: &Host, family: Family) -> Result<UdpSocket> {
    let client = socket::udp(&host.peer, Host::client(family), 0)?;
    client.set_read_timeout(Some(ANSWER)).context("set a read timeout")?;
    Ok(client)
}

fn server_socket(host: &Host, family: Family, port: u16) -> Result<UdpSocket> {
    let (namespace, address) = host.server(family, port);
    let server = host.serving(|| socket::udp(namespace, address.ip(), address.port()))?;
    server.set_read_timeout(Some(ANSWER)).context("set a read timeout")?;
    Ok(server)
}

/// UDP over several flows to one server, in turn.
pub(crate) struct Udp {
    name: String,
    clients: Vec<UdpSocket>,
    server: UdpSocket,
    next: usize,
}

impl Udp {
    pub(crate) fn open(host: &Host, family: Family, port: u16, flows: usize) -> Result<Self> {
        let server = server_socket(host, family, port)?;
        let asked = SocketAddr::new(Host::asked(family), port);
        let clients = (0..flows).map(|_| {
            let client = client_socket(host, family)?;
            client.connect(asked).with_context(|| format!("connect UDP to {asked}"))?;
            Ok(client)
        });
        let clients = clients.collect::<Result<_>>()?;
        Ok(Self { name: host.variant.name().to_owned(), clients, server, next: 0 })
    }
}

impl Work for Udp {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let mut buffer = [0; 128];
        for _ in 0..times {
            let client = &self.clients[self.next];
            self.next = (self.next + 1) % self.clients.len();
            client.send(&PAYLOAD).context("send a request")?;
            let (length, from) = self.server.recv_from(&mut buffer).context("no request came")?;
            self.server.send_to(&buffer[..length], from).context("send a response")?;
            client.recv(&mut buffer).context("no response came")?;
        }
        Ok(())
    }
}

/// UDP between every one of `side` clients and every one of `side` servers: `side`² flows,
/// taken at random.
pub(crate) struct ManyFlows {
    name: String,
    clients: Vec<UdpSocket>,
    servers: Vec<(UdpSocket, SocketAddr)>,
    random: fastrand::Rng,
}

impl ManyFlows {
    /// Opens the sockets and has every flow answer twice: after that it is a confirmed one.
    pub(crate) fn open(host: &Host, family: Family, first_port: u16, side: u16) -> Result<Self> {
        let clients = (0..side).map(|_| client_socket(host, family)).collect::<Result<_>>()?;
        let servers = (first_port..first_port + side).map(|port| {
            let asked = SocketAddr::new(Host::asked(family), port);
            Ok((server_socket(host, family, port)?, asked))
        });
        let servers = servers.collect::<Result<_>>()?;
        let mut flows = Self {
            name: host.variant.name().to_owned(),
            clients,
            servers,
            random: fastrand::Rng::with_seed(7),
        };
        for client in 0..usize::from(side) {
            for server in 0..usize::from(side) {
                // At once: a flow that waits too long for its second request starts anew.
                flows.exchange(client, server)?;
                flows.exchange(client, server)?;
            }
        }
        Ok(flows)
    }

    fn exchange(&mut self, client: usize, server: usize) -> Result<()> {
        let mut buffer = [0; 128];
        let (client, (server, asked)) = (&self.clients[client], &self.servers[server]);
        client.send_to(&PAYLOAD, asked).context("send a request")?;
        let (length, from) = server.recv_from(&mut buffer).context("no request came")?;
        server.send_to(&buffer[..length], from).context("send a response")?;
        client.recv(&mut buffer).context("no response came")?;
        Ok(())
    }
}

impl Work for ManyFlows {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        for _ in 0..times {
            let client = self.random.usize(0..self.clients.len());
            let server = self.random.usize(0..self.servers.len());
            self.exchange(client, server)?;
        }
        Ok(())
    }
}

/// Established TCP connections, in turn.
pub(crate) struct Tcp {
    name: String,
    connections: Vec<(TcpStream, TcpStream)>,
    next: usize,
}

/// Both ends of new connections from the peer to the host.
fn connect(
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
        Ok(Self { name: host.variant.name().to_owned(), connections, next: 0 })
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
pub(crate) struct Connections<'h> {
    host: &'h Host,
    listener: TcpListener,
    asked: SocketAddr,
}

impl<'h> Connections<'h> {
    pub(crate) fn open(host: &'h Host, family: Family, port: u16) -> Result<Self> {
        let (namespace, address) = host.server(family, port);
        let listener = host.serving(|| socket::listen(namespace, address.ip(), address.port()))?;
        Ok(Self { host, listener, asked: SocketAddr::new(Host::asked(family), port) })
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

impl Work for Connections<'_> {
    fn name(&self) -> String {
        self.host.variant.name().to_owned()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        in_namespace(self.host, || (0..times).try_for_each(|_| self.exchange()))
    }
}

/// Runs `task` on this thread with new sockets in the peer's namespace.
fn in_namespace(host: &Host, task: impl FnOnce() -> Result<()>) -> Result<()> {
    let open = |path: &std::path::Path| {
        std::fs::File::open(path).with_context(|| format!("open {}", path.display()))
    };
    let home = open(std::path::Path::new("/proc/thread-self/ns/net"))?;
    let peer = open(&host.peer.path())?;
    setns(peer, CloneFlags::CLONE_NEWNET).context("enter the peer's namespace")?;
    let result = task();
    setns(home, CloneFlags::CLONE_NEWNET).context("come back from the peer's namespace")?;
    result
}

/// One TCP connection on which the host sends all the time.
pub(crate) struct Stream {
    name: String,
    client: TcpStream,
    server: TcpStream,
    chunk: Vec<u8>,
}

impl Stream {
    /// Bytes of one operation.
    pub(crate) const CHUNK: usize = 65_536;

    pub(crate) fn open(host: &Host, family: Family, port: u16) -> Result<Self> {
        let mut connections = connect(host, family, port, 1)?;
        let (client, server) = connections.remove(0);
        // Otherwise a chunk would not fit before the first one is acknowledged.
        setsockopt(&server, sockopt::SndBuf, &(8 * Self::CHUNK)).context("set SO_SNDBUF")?;
        setsockopt(&client, sockopt::RcvBuf, &(8 * Self::CHUNK)).context("set SO_RCVBUF")?;
        Ok(Self {
            name: host.variant.name().to_owned(),
            client,
            server,
            chunk: vec![7; Self::CHUNK],
        })
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
