//! Transfers with an echo server: a stream, and datagrams larger than any uplink.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::netns::Namespace;
use prroute_tests::prroute::Instance;
use prroute_tests::{echo, socket, wait};

const CHUNK: usize = 64 << 10;
const DATAGRAM: usize = 8_000;

/// So many bytes there and back again.
pub(crate) fn both_ways(stream: TcpStream, bytes: usize) -> Result<()> {
    let mut sender = stream.try_clone()?;
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let chunk = vec![7; CHUNK];
        for _ in 0..bytes / CHUNK {
            sender.write_all(&chunk)?;
        }
        Ok(())
    });
    let mut receiver = stream;
    let mut chunk = vec![0; CHUNK];
    let mut received = 0;
    while received < bytes {
        let count = socket::uninterrupted(|| receiver.read(&mut chunk))
            .with_context(|| format!("after {received} bytes"))?;
        ensure!(count > 0, "closed after {received} bytes");
        received += count;
    }
    writer.join().expect("the writer panicked").context("send")
}

/// Whether the sender of everything that was too big knows: an error speaks of the first fragment
/// of a datagram, those behind it are counted as too big themselves.
pub(crate) fn every_sender_was_told(prroute: &Instance<'_>) -> Result<()> {
    const LATER_FRAGMENTS: u64 = DATAGRAM as u64 / 1280;
    let (told, too_big) = (prroute.count("sender_told")?, prroute.count("too_big")?);
    ensure!(too_big <= told * LATER_FRAGMENTS, "{told} were told, {too_big} were too big");
    Ok(())
}

/// Datagrams of 8,000 bytes: the first ones may tell both ends the size instead of arriving.
pub(crate) fn datagrams(from: &Namespace, source: IpAddr, target: SocketAddr) -> Result<()> {
    let socket = socket::udp(from, source, 0)?;
    socket.set_read_timeout(Some(wait::patience(Duration::from_secs(2))))?;
    let mut answered = false;
    for _ in 0..4 {
        answered = answered || echo::udp_round(&socket, target, DATAGRAM)?;
    }
    ensure!(answered, "{DATAGRAM} bytes from {target}");
    ensure!(echo::udp_round(&socket, target, DATAGRAM)?, "again from {target}");
    Ok(())
}
