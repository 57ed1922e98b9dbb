//! IPv4 options and IPv6 extension headers, on questions and on answers.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use prroute_oracle::frame::{Extension, Frame, Upper};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::raw::Raw;
use prroute_tests::socket::{self, ANSWER};
use prroute_tests::wait;

const PORT: u16 = 7007;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// Chains of extension headers, with their lengths beyond eight bytes.
const CHAINS: [&[(u8, u8)]; 4] = [
    &[(HOP_BY_HOP, 0)],
    &[(DESTINATION, 3)],
    &[(ROUTING, 2)],
    &[(HOP_BY_HOP, 1), (DESTINATION, 0), (ROUTING, 2), (DESTINATION, 2)],
];

/// A datagram with headers as rare as `number` says.
fn datagram(from: SocketAddr, to: SocketAddr, number: usize, payload: &[u8]) -> Vec<u8> {
    let upper = Upper::Udp { ports: [from.port(), to.port()] };
    let chain = CHAINS[number].iter().map(|&(number, length)| Extension { number, length });
    let frame = Frame {
        option_words: [1, 3, 6, 10][number],
        extensions: if from.is_ipv4() { Vec::new() } else { chain.collect() },
        payload: payload.to_vec(),
        ..Frame::plain(from.ip(), to.ip(), upper)
    };
    frame.packet()
}

/// Both ends: a datagram is received by a plain socket, and sent with headers of its own.
struct Ends {
    client: (UdpSocket, Raw),
    host: (UdpSocket, Raw),
}

impl Ends {
    fn open(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Self> {
        let client = socket::udp(&lab.client, source, 0)?;
        let host = socket::udp(&lab.host, target, PORT)?;
        Ok(Self {
            client: (client, Raw::with_headers(&lab.client, source)?),
            host: (host, Raw::with_headers(&lab.host, target)?),
        })
    }

    fn round(&self, number: usize) -> Result<()> {
        let ((client, from_client), (host, from_host)) = (&self.client, &self.host);
        let (near, far) = (client.local_addr()?, host.local_addr()?);
        let mut heard = [0; 64];
        from_client.send(far.ip(), &datagram(near, far, number, b"question"))?;
        let asked = socket::uninterrupted(|| host.recv_from(&mut heard))
            .context("the question did not arrive")?;
        ensure!(asked == (8, near) && &heard[..8] == b"question", "{asked:?}");
        from_host.send(near.ip(), &datagram(far, near, number, b"answer"))?;
        let answered = socket::uninterrupted(|| client.recv_from(&mut heard))
            .context("the answer did not arrive")?;
        ensure!(answered == (6, far) && &heard[..6] == b"answer", "{answered:?}");
        Ok(())
    }
}

#[test]
fn options_and_extension_headers_change_no_way() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let source = addressing::client(2, family);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                let ends = Ends::open(&lab, source, target)?;
                for number in 0..CHAINS.len() {
                    let told = || format!("{source} asks {target}, headers {number}");
                    ends.round(number).with_context(told)?;
                }
            }
        }
        // The answers from the shared addresses, of which there is one of each kind.
        let redirected = prroute.count("redirected")?;
        ensure!(redirected >= 2 * CHAINS.len() as u64, "{redirected} answers were moved");
        assert_eq!(prroute.count("unparsable")?, 0);
        Ok(())
    })
}

/// Options on every packet of a socket: ones that nobody knows, on the hops and at the destination.
fn always_with_options(socket: &UdpSocket) -> Result<()> {
    use nix::libc::{IP_OPTIONS, IPPROTO_IP, IPPROTO_IPV6, IPV6_DSTOPTS, IPV6_HOPOPTS};
    if socket.local_addr()?.is_ipv4() {
        return socket::set_option(socket, IPPROTO_IP, IP_OPTIONS, &[1; 8]);
    }
    let options = [0, 1, 0x1e, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    socket::set_option(socket, IPPROTO_IPV6, IPV6_HOPOPTS, &options)?;
    socket::set_option(socket, IPPROTO_IPV6, IPV6_DSTOPTS, &options)
}

#[test]
fn fragments_behind_options_and_extension_headers_stay_together() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let payload: Vec<u8> = (0..4_000).map(|i| (i % 251) as u8).collect();
        for family in Family::BOTH {
            let source = addressing::client(2, family);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                let client = socket::udp(&lab.client, source, 0)?;
                let host = socket::udp(&lab.host, target, PORT)?;
                always_with_options(&client)?;
                always_with_options(&host)?;
                host.set_read_timeout(Some(wait::patience(ANSWER)))?;
                let mut heard = vec![0; payload.len() + 1];
                for round in 0..3 {
                    client.send_to(&payload, (target, PORT))?;
                    let told = || format!("{target}, round {round}");
                    let (length, from) =
                        socket::uninterrupted(|| host.recv_from(&mut heard)).with_context(told)?;
                    ensure!(heard[..length] == payload, "{length} bytes arrived");
                    host.send_to(&payload, from)?;
                    let (length, _) = socket::uninterrupted(|| client.recv_from(&mut heard))
                        .with_context(told)?;
                    ensure!(heard[..length] == payload, "{length} bytes came back");
                }
            }
        }
        // Three fragments of each answer.
        let redirected = prroute.count("redirected")?;
        ensure!(redirected >= 2 * 3 * 3, "{redirected} fragments were moved");
        assert_eq!(prroute.count("unparsable")?, 0);
        assert_eq!(prroute.count("fragment_overtook")?, 0);
        Ok(())
    })
}
