//! Uplinks of different sizes: what leaves by a smaller uplink than the host would have taken
//! arrives all the same.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::socket;

const PORT: u16 = 7;

/// Main's default route is by uplink 1; the requests come in on uplink 2, which is small.
const LARGE_MTU: u32 = 9000;
const SMALL_MTU: u32 = 1280;

/// Bytes of the TCP transfer, each way.
const TRANSFER: usize = 100 << 20;
const CHUNK: usize = 64 << 10;

fn lab_of_two_sizes() -> Result<Lab> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    for (number, mtu) in [(1, LARGE_MTU), (2, SMALL_MTU)] {
        lab.host.ip(&format!("link set up{number} mtu {mtu}"))?;
        lab.router(number).namespace.ip(&format!("link set host mtu {mtu}"))?;
    }
    Ok(lab)
}

fn targets() -> impl Iterator<Item = (Family, IpAddr)> {
    Family::BOTH.into_iter().flat_map(|family| {
        [addressing::host(2, family), addressing::shared(family)].map(|target| (family, target))
    })
}

#[test]
fn a_hundred_megabytes_arrive_over_the_smaller_uplink() -> Result<()> {
    let lab = lab_of_two_sizes()?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    for (family, target) in targets() {
        let source = addressing::client(2, family);
        let stream = socket::tcp(&lab.client, source, target, PORT)?;
        let mut sender = stream.try_clone()?;
        let writer = std::thread::spawn(move || -> std::io::Result<()> {
            let chunk = vec![7; CHUNK];
            for _ in 0..TRANSFER / CHUNK {
                sender.write_all(&chunk)?;
            }
            Ok(())
        });
        let mut receiver = stream;
        let mut chunk = vec![0; CHUNK];
        let mut received = 0;
        while received < TRANSFER {
            let count = receiver.read(&mut chunk).with_context(|| format!("from {target}"))?;
            ensure!(count > 0, "{target} closed after {received} bytes");
            received += count;
        }
        writer.join().expect("the writer panicked").with_context(|| format!("to {target}"))?;
    }
    ensure!(prroute.count("redirected")? > 0, "replies from the shared address are moved");
    assert_eq!(prroute.count("too_big")?, 0);
    daemon.terminate()?;
    prroute.down()?;
    drop(echo);
    Ok(())
}

#[test]
fn large_datagrams_arrive_once_their_sender_knows_the_size() -> Result<()> {
    let lab = lab_of_two_sizes()?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    for (family, target) in targets() {
        let socket = socket::udp(&lab.client, addressing::client(2, family), 0)?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
        let target = SocketAddr::new(target, PORT);
        // The first answer may tell the host the size instead of arriving.
        let mut answered = false;
        for _ in 0..3 {
            answered = answered || echo::udp_round(&socket, target, 8_000)?;
        }
        ensure!(answered, "8,000 bytes from {target}");
        ensure!(echo::udp_round(&socket, target, 8_000)?, "again from {target}");
    }
    ensure!(prroute.count("sender_told")? > 0, "nobody was told");
    assert_eq!(prroute.count("too_big")?, 0, "nothing was lost in silence");
    daemon.terminate()?;
    prroute.down()?;
    drop(echo);
    Ok(())
}
