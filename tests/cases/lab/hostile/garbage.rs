//! A UDP server that is bound to no address, and says nothing to garbage (DNS to answers, QUIC, WireGuard):
//! what somebody sends to another address in its client's name takes no datagram from the client.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::socket;

use super::attacker::Attacker;
use super::{expect_no_leak, lab, leak, pass, wildcard};

const SERVER: u16 = 7009;

/// A client over uplink 1, and the server.
struct Talk<'lab> {
    lab: &'lab Lab,
    client: UdpSocket,
    server: UdpSocket,
    /// The address that the client asks.
    asked: SocketAddr,
}

impl Talk<'_> {
    fn hear(socket: &UdpSocket) -> Result<(Vec<u8>, SocketAddr)> {
        let mut text = [0; 16];
        let (size, from) = socket::uninterrupted(|| socket.recv_from(&mut text))?;
        Ok((text[..size].to_vec(), from))
    }

    /// The server sends, and the client hears it from the address that it asked.
    fn sends(&self, text: &[u8]) -> Result<()> {
        self.server.send_to(text, self.client.local_addr()?).context("the server sends")?;
        let (heard, from) = Self::hear(&self.client).context("the client hears nothing")?;
        ensure!(heard == text && from == self.asked, "{heard:?} from {from}");
        Ok(())
    }

    fn asks(&self) -> Result<()> {
        self.client.send_to(b"question", self.asked).context("the client asks")?;
        let (heard, _) = Self::hear(&self.server).context("the server hears nothing")?;
        ensure!(heard == b"question", "the server hears {heard:?}");
        Ok(())
    }

    /// The attacker sends to another address, and the server throws it away.
    fn is_attacked(&self, attacker: &Attacker, target: IpAddr) -> Result<()> {
        let client = self.client.local_addr()?;
        let way = Attacker::way(client.ip(), target)?;
        let garbage = way.udp((client.port(), SERVER), b"garbage")?;
        // The router drops what it cannot deliver within three seconds, while it asks a busy host for its address.
        let attack = || {
            attacker.wire.send(&garbage)?;
            Self::hear(&self.server)
        };
        let (heard, _) = attack().or_else(|_| attack()).context("the garbage did not come in")?;
        ensure!(heard == b"garbage", "the server hears {heard:?}");
        Ok(())
    }

    fn stays(&self, attacker: &Attacker, target: IpAddr) -> Result<()> {
        for _ in 0..3 {
            self.asks()?;
            self.sends(b"answer")?;
        }
        let capture = leak(self.lab)?;
        for _ in 0..3 {
            self.is_attacked(attacker, target)?;
            self.asks()?;
            self.sends(b"answer").context("behind a request")?;
            self.is_attacked(attacker, target)?;
            pass(self.lab, Duration::from_secs(2))?;
            self.sends(b"push").context("unasked")?;
        }
        expect_no_leak(capture)
    }
}

#[test]
fn garbage_in_a_clients_name_diverts_no_answer() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            let asked = SocketAddr::new(addressing::host(1, family), SERVER);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                let talk = Talk {
                    lab: &lab,
                    client: socket::udp(&lab.client, addressing::client(1, family), 0)?,
                    server: socket::udp(&lab.host, wildcard(family), SERVER)?,
                    asked,
                };
                talk.stays(&attacker, target).with_context(|| format!("garbage to {target}"))?;
            }
        }
        Ok(())
    })
}
