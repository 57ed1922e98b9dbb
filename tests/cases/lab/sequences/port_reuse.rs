//! A client that comes back from the same port, by another uplink: NFS clients do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use prroute_common::flow::TCP_REBIND_IDLE;
use prroute_common::time::TICK_NS;
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::{socket, wait};

use super::{Astray, PATIENCE, PORT, TOPOLOGY, pass, shared_and_client};

const CLIENT_PORT: u16 = 41_001;
const MEGABYTE: usize = 1 << 20;

/// The client connects, and the server sends it so many megabytes; the client closes.
fn download(lab: &Lab, listener: &TcpListener, family: Family, megabytes: usize) -> Result<()> {
    let (shared, client) = shared_and_client(family);
    let (from, to) = (SocketAddr::new(client, CLIENT_PORT), SocketAddr::new(shared, PORT));
    let mut tcp = socket::tcp_from(&lab.client, from, to, PATIENCE)?;
    let (server, _) = listener.accept().context("accept")?;
    let sender = std::thread::spawn(move || send(server, megabytes));
    let mut got = vec![0; MEGABYTE];
    for number in 0..megabytes {
        tcp.read_exact(&mut got).with_context(|| format!("megabyte {number}"))?;
    }
    drop(tcp);
    // The server sees the client's end, and closes too.
    sender.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    // Its end may have to be said again, by the uplink of that connection.
    wait::until("the connection is over", PATIENCE, || {
        let ending = lab.host.run(&["ss", "-Htn", "state", "last-ack"])?;
        Ok(ending.trim().is_empty().then_some(()))
    })
}

fn send(mut server: TcpStream, megabytes: usize) -> Result<()> {
    server
        .set_write_timeout(Some(wait::patience(PATIENCE)))
        .context("set the server's patience")?;
    for _ in 0..megabytes {
        server.write_all(&vec![7; MEGABYTE]).context("send")?;
    }
    server.set_read_timeout(Some(wait::patience(PATIENCE))).context("set the server's patience")?;
    server.read_to_end(&mut Vec::new()).context("wait for the client's end")?;
    Ok(())
}

/// `megabytes` by uplink 1; after `pause` once more by uplink 2.
fn comes_back(megabytes: usize, pause: Duration) -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            let listener = socket::listen(&lab.host, shared, PORT)?;
            lab.steer_both(1)?;
            download(&lab, &listener, family, megabytes)?;
            let idle = Duration::from_nanos((u64::from(TCP_REBIND_IDLE) + 1) * TICK_NS);
            let ready = Instant::now() + idle;
            wait::until("the old connection is idle", 2 * idle, || {
                Ok((Instant::now() >= ready).then_some(()))
            })?;
            pass(&lab, pause)?;
            lab.steer_both(2)?;
            let astray = Astray::watch(&lab, shared, client)?;
            download(&lab, &listener, family, 1).with_context(|| family.to_string())?;
            astray.expect_none()?;
        }
        Ok(())
    })
}

#[test]
fn a_client_from_the_same_port_by_another_uplink_is_answered_there() -> Result<()> {
    comes_back(1, Duration::ZERO)
}

#[test]
fn the_same_after_200_megabytes() -> Result<()> {
    comes_back(200, Duration::ZERO)
}

#[test]
fn the_same_after_minutes() -> Result<()> {
    comes_back(1, Duration::from_secs(200))
}

/// Nobody listens any more: the client hears of it over the uplink that it asked by.
#[test]
fn a_refusal_leaves_where_the_second_attempt_came_in() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            lab.steer_both(1)?;
            let listener = socket::listen(&lab.host, shared, PORT)?;
            download(&lab, &listener, family, 1)?;
            drop(listener);
            pass(&lab, Duration::from_secs(100))?;
            lab.steer_both(2)?;
            let astray = Astray::watch(&lab, shared, client)?;
            let (from, to) = (SocketAddr::new(client, CLIENT_PORT), SocketAddr::new(shared, PORT));
            let refused = socket::tcp_from(&lab.client, from, to, PATIENCE).err();
            let said = refused.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(said.contains("Connection refused"), "{said}");
            astray.expect_none()?;
        }
        Ok(())
    })
}
