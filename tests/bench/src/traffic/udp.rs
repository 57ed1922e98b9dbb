//! UDP requests and responses between sockets of two namespaces, made by one thread: the kernel
//! carries each packet to its receiver before the send returns, and no scheduler is involved.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use prroute_tests::addressing::Family;
use prroute_tests::socket;

use super::{ANSWER, PAYLOAD};
use crate::host::Host;
use crate::rounds::Work;

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
        Ok(Self { name: host.variant.name.to_owned(), clients, server, next: 0 })
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
            name: host.variant.name.to_owned(),
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
