//! A bad link: packets that are lost, doubled, late or out of order, and a carrier that comes and
//! goes. Flows over it stay on it.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;
const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// Time for what is lost to be sent again, several times over.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a question is put again.
const ATTEMPTS: usize = 30;

/// Conversations over the second uplink, with the shared address and its own.
struct Talk {
    tcp: Vec<TcpStream>,
    udp: Vec<UdpSocket>,
    _echo: Echo,
}

impl Talk {
    fn begin(lab: &Lab) -> Result<Self> {
        let targets: Vec<_> = Family::BOTH
            .into_iter()
            .flat_map(|family| [addressing::shared(family), addressing::host(2, family)])
            .collect();
        let echo = Echo::start(&lab.host, &targets, PORT)?;
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for target in targets {
            let source = addressing::client(2, Family::of(target));
            let connection =
                socket::tcp_from(&lab.client, (source, 0).into(), (target, PORT).into(), DEADLINE)?;
            connection.set_read_timeout(Some(wait::patience(DEADLINE)))?;
            tcp.push(connection);
            let socket = socket::udp(&lab.client, source, 0)?;
            socket.connect((target, PORT)).context("connect a UDP socket")?;
            // A lost datagram is sent again by nobody but us.
            socket.set_read_timeout(Some(wait::patience(Duration::from_millis(500))))?;
            udp.push(socket);
        }
        Ok(Self { tcp, udp, _echo: echo })
    }

    /// Every conversation goes on.
    fn go_on(&mut self) -> Result<()> {
        for tcp in &mut self.tcp {
            let peer = tcp.peer_addr()?;
            echo::tcp_round(tcp, 5_000).with_context(|| format!("TCP with {peer}"))?;
        }
        for udp in &self.udp {
            let peer = udp.peer_addr()?;
            let mut heard = [0; 64];
            let answered = (0..ATTEMPTS).any(|_| {
                udp.send(b"again").is_ok()
                    && socket::uninterrupted(|| udp.recv(&mut heard))
                        .is_ok_and(|length| length == 5)
            });
            ensure!(answered, "{peer} does not answer UDP");
        }
        Ok(())
    }
}

/// Everything that left for the client's second address left by the second uplink.
fn expect_one_way(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        for source in [addressing::shared(family), addressing::host(2, family)] {
            let target = addressing::client(2, family);
            let (first, second) =
                (lab.router(1).arrived(source, target)?, lab.router(2).arrived(source, target)?);
            ensure!(
                first == 0 && second > 0,
                "{source}: {first} replies by uplink 1, {second} by uplink 2"
            );
        }
    }
    Ok(())
}

fn stays_put(netem: &str) -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        for (namespace, device) in [(&lab.host, "up2"), (&lab.router(2).namespace, "host")] {
            let words = netem.split_whitespace();
            let argv: Vec<&str> = ["tc", "qdisc", "add", "dev", device, "root", "netem"]
                .into_iter()
                .chain(words)
                .collect();
            namespace.run(&argv)?;
        }
        let mut talk = Talk::begin(&lab)?;
        for _ in 0..10 {
            talk.go_on()?;
        }
        expect_one_way(&lab)
    })
}

#[test]
fn flows_stay_on_an_uplink_that_loses_packets() -> Result<()> {
    stays_put("loss 10%")
}

#[test]
fn flows_stay_on_an_uplink_that_reorders_and_delays_packets() -> Result<()> {
    stays_put("delay 30ms 10ms reorder 30% 50%")
}

#[test]
fn flows_stay_on_an_uplink_that_doubles_packets() -> Result<()> {
    stays_put("duplicate 30% delay 5ms")
}

#[test]
fn flows_go_on_after_each_flap_of_the_carrier() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|prroute| {
        let mut talk = Talk::begin(&lab)?;
        talk.go_on()?;
        let carrier = |wanted: bool| {
            wait::until("the host sees the carrier", DEADLINE, || {
                let link = lab.host.run(&["ip", "-brief", "link", "show", "dev", "up2"])?;
                Ok((link.contains("LOWER_UP") == wanted).then_some(()))
            })
        };
        for flap in 1..=5 {
            lab.router(2).namespace.ip("link set host down")?;
            carrier(false)?;
            lab.router(2).namespace.ip("link set host up")?;
            carrier(true)?;
            talk.go_on().with_context(|| {
                format!("after flap {flap}: {:#}", prroute.status().unwrap_or_default())
            })?;
        }
        // While the carrier is gone, what is sent again goes where routing says; now nothing does.
        let strays = || -> Result<Vec<u64>> {
            let router = lab.router(1);
            Family::BOTH
                .into_iter()
                .flat_map(|family| {
                    let target = addressing::client(2, family);
                    [addressing::shared(family), addressing::host(2, family)].map(|s| (s, target))
                })
                .map(|(source, target)| router.arrived(source, target))
                .collect()
        };
        let before = strays()?;
        talk.go_on()?;
        ensure!(strays()? == before, "replies leave by the first uplink: {:?}", strays()?);
        Ok(())
    })
}
