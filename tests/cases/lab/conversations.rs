//! What goes on while prroute is replaced, or stopped: open conversations, and a flood of pings.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::stream::Stream;
use prroute_tests::{socket, wait};

const PORT: u16 = 7018;

/// More than a lost packet's retransmission takes: what fails is told by counting, not by time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The uplink that everything here comes in on. It is not the one that main prefers.
const UPLINK: u8 = 2;

/// A shared address, and one of the uplink's own.
fn targets(family: Family) -> [IpAddr; 2] {
    [addressing::shared(family), addressing::host(UPLINK, family)]
}

/// Open connections and datagram conversations, in both families, to own and shared addresses.
pub(crate) struct Conversations {
    connections: Vec<Connection>,
    datagrams: Vec<Datagrams>,
}

struct Connection {
    client: TcpStream,
    host: TcpStream,
}

struct Datagrams {
    client: UdpSocket,
    host: UdpSocket,
}

impl Conversations {
    /// Opens them; both ends have spoken.
    pub(crate) fn open(lab: &Lab) -> Result<Self> {
        let mut all = Self { connections: Vec::new(), datagrams: Vec::new() };
        for family in Family::BOTH {
            for target in targets(family) {
                let source = addressing::client(UPLINK, family);
                all.connections.push(Connection::open(lab, source, target)?);
                all.datagrams.push(Datagrams::open(lab, source, target)?);
            }
        }
        all.go_on()?;
        Ok(all)
    }

    /// The client asks, the host answers.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        for Connection { client, host } in &mut self.connections {
            say(client, host, b"question").context("from a client")?;
            say(host, client, b"answer").context("to a client")?;
        }
        for Datagrams { client, host } in &self.datagrams {
            send(client, host, b"question").context("from a client")?;
            send(host, client, b"answer").context("to a client")?;
            send(client, host, b"question").context("from a client")?;
        }
        Ok(())
    }

    /// The host speaks, and the client has said nothing since the programs were replaced: only what is
    /// remembered tells which uplink is right.
    pub(crate) fn host_speaks_first(&mut self) -> Result<()> {
        for Connection { client, host } in &mut self.connections {
            let to = client.local_addr()?;
            say(host, client, b"news").with_context(|| format!("TCP to {to}"))?;
        }
        for Datagrams { client, host } in &self.datagrams {
            let to = client.local_addr()?;
            send(host, client, b"news").with_context(|| format!("UDP to {to}"))?;
        }
        Ok(())
    }

    /// Not one packet of theirs arrived at the router of another uplink.
    fn left_by_their_uplinks(&self, lab: &Lab) -> Result<()> {
        for family in Family::BOTH {
            for target in targets(family) {
                expect_only_by_uplink(lab, target)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn open(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Self> {
        let listener: TcpListener = socket::listen(&lab.host, target, PORT)?;
        let client = socket::tcp(&lab.client, source, target, PORT)?;
        let (host, _) = listener.accept().context("accept")?;
        for stream in [&client, &host] {
            stream.set_nodelay(true).context("send at once")?;
            stream
                .set_read_timeout(Some(wait::patience(PATIENCE)))
                .context("set a read timeout")?;
        }
        Ok(Self { client, host })
    }
}

impl Datagrams {
    fn open(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Self> {
        let client = socket::udp(&lab.client, source, 0)?;
        let host = socket::udp(&lab.host, target, PORT)?;
        client.connect(SocketAddr::new(target, PORT)).context("connect the client")?;
        client.send(b"hello").context("send the first datagram")?;
        let mut buffer = [0; 64];
        let (_, from) = socket::uninterrupted(|| host.recv_from(&mut buffer)).context("hear it")?;
        host.connect(from).context("connect the host")?;
        Ok(Self { client, host })
    }
}

fn say(from: &mut TcpStream, to: &mut TcpStream, what: &[u8]) -> Result<()> {
    from.write_all(what).context("send")?;
    let mut heard = vec![0; what.len()];
    to.read_exact(&mut heard).context("hear")?;
    ensure!(heard == what, "{heard:?} instead of {what:?}");
    Ok(())
}

/// A datagram is not sent again.
fn send(from: &UdpSocket, to: &UdpSocket, what: &[u8]) -> Result<()> {
    from.send(what).context("send")?;
    let mut heard = [0; 64];
    let length = socket::uninterrupted(|| to.recv(&mut heard)).context("hear")?;
    ensure!(&heard[..length] == what, "something else was heard");
    Ok(())
}

/// Between two echo requests to one address: to all of them together go 500 a second.
const PAUSE: Duration = Duration::from_millis(8);

/// Echo requests to one address.
pub(crate) struct Flood {
    ping: Stream,
    target: IpAddr,
}

impl Flood {
    /// To own and shared addresses, in both families.
    pub(crate) fn all(lab: &Lab) -> Result<Vec<Self>> {
        let mut floods = Vec::new();
        for family in Family::BOTH {
            for target in targets(family) {
                let source = addressing::client(UPLINK, family);
                let ping = Stream::every(&lab.client, source, target, PAUSE)?;
                floods.push(Self { ping, target });
            }
        }
        Ok(floods)
    }

    pub(crate) fn is_answered(&mut self) -> Result<()> {
        self.ping.is_answered()
    }

    /// Ends it; each request was answered, over the uplink that it came in on.
    fn lost_nothing(self, lab: &Lab) -> Result<()> {
        let answered =
            self.ping.lost_nothing().with_context(|| format!("pings to {}", self.target))?;
        println!("{}: {answered} pings, none lost", self.target);
        expect_only_by_uplink(lab, self.target)
    }
}

/// Ends everything: nothing was lost, and nothing left by another uplink.
pub(crate) fn expect_nothing_lost(
    lab: &Lab,
    conversations: &Conversations,
    floods: Vec<Flood>,
) -> Result<()> {
    for mut flood in floods {
        flood.is_answered()?;
        flood.lost_nothing(lab)?;
    }
    conversations.left_by_their_uplinks(lab)
}

fn expect_only_by_uplink(lab: &Lab, target: IpAddr) -> Result<()> {
    let client = addressing::client(UPLINK, Family::of(target));
    for router in &lab.routers {
        let arrived = router.arrived(target, client)?;
        let number = router.number;
        ensure!(
            (arrived > 0) == (number == UPLINK),
            "{arrived} packets from {target} arrived at router {number}"
        );
    }
    Ok(())
}
