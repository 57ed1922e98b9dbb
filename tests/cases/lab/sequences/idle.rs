//! Connections without a packet for hours.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::{echo, socket, wait};

use super::{Astray, PATIENCE, PORT, TOPOLOGY, pass, shared_and_client};

/// The kernel's first keepalive comes after two hours, the last of nine eleven minutes later
/// (tcp(7)); here a second after that time was made to pass.
#[test]
fn keepalives_of_a_connection_that_is_idle_for_two_hours_leave_by_its_uplink() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        lab.steer_both(2)?;
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            let listener = socket::listen(&lab.host, shared, PORT)?;
            let mut tcp = socket::tcp(&lab.client, client, shared, PORT)?;
            let (mut server, _) = listener.accept().context("accept")?;
            let answering = std::thread::spawn(move || -> Result<_> {
                let mut text = [0; 64];
                std::io::Read::read_exact(&mut server, &mut text).context("read")?;
                std::io::Write::write_all(&mut server, &text).context("answer")?;
                Ok(server)
            });
            echo::tcp_round(&mut tcp, 64)?;
            let server = answering.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
            for (hours, minutes) in [(2, 0), (2, 15)] {
                pass(&lab, Duration::from_secs(hours * 3600 + minutes * 60))?;
                let astray = Astray::watch(&lab, shared, client)?;
                let before = lab.router(2).arrived(shared, client)?;
                setsockopt(&server, sockopt::TcpKeepIdle, &1).context("set TCP_KEEPIDLE")?;
                setsockopt(&server, sockopt::KeepAlive, &true).context("set SO_KEEPALIVE")?;
                wait::until("a keepalive over uplink 2", PATIENCE, || {
                    astray.expect_none()?;
                    Ok((lab.router(2).arrived(shared, client)? > before).then_some(()))
                })
                .with_context(|| format!("{family} after {hours} h {minutes} min"))?;
                setsockopt(&server, sockopt::KeepAlive, &false).context("unset SO_KEEPALIVE")?;
            }
            let peer: SocketAddr = tcp.peer_addr()?;
            assert_eq!(peer.ip(), shared, "the client is there still");
        }
        Ok(())
    })
}
