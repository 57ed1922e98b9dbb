//! Transport beside TCP, UDP and ping, by the kernel's own stacks: SCTP and ESP.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    Backlog, SockaddrStorage, accept, bind, connect, listen, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;
const SCTP: u64 = 132;

/// Together a megabyte, which is more than a window.
const MESSAGES: usize = 128;
const MESSAGE: usize = 8 << 10;

const ESP: u64 = 50;

const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// An SCTP socket in TCP's style.
fn sctp_socket(namespace: &Namespace, local: SocketAddr) -> Result<OwnedFd> {
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    namespace.inside(|| {
        // SAFETY: no memory is passed.
        let made = unsafe {
            libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_SCTP)
        };
        let made = Errno::result(made).context("open an SCTP socket")?;
        // SAFETY: the kernel has just returned this descriptor to us; nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(made) };
        let patience = wait::whole_seconds(socket::ANSWER).cast_signed();
        for set in [
            setsockopt(&socket, sockopt::SendTimeout, &TimeVal::seconds(patience)),
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(patience)),
        ] {
            set.context("set a timeout")?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(local))
            .with_context(|| format!("bind SCTP {local}"))?;
        Ok(socket)
    })
}

/// An association from `source` to the server at `target`, and some data both ways.
fn sctp_talk(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<()> {
    let server = sctp_socket(&lab.host, SocketAddr::new(target, PORT))?;
    listen(&server, Backlog::new(4).context("a backlog")?).context("listen")?;
    let client = sctp_socket(&lab.client, SocketAddr::new(source, 0))?;
    let there = SockaddrStorage::from(SocketAddr::new(target, PORT));
    connect(client.as_raw_fd(), &there)
        .with_context(|| format!("SCTP from {source} to {target}"))?;
    let accepted = accept(server.as_raw_fd()).context("accept")?;
    // SAFETY: the kernel has just returned this descriptor to us; nobody else owns it.
    let mut accepted = TcpStream::from(unsafe { OwnedFd::from_raw_fd(accepted) });
    // Only its reads and writes are used, which are the same for any stream.
    let mut client = TcpStream::from(client);
    for word in [&b"question"[..], b"and another"] {
        let mut heard = vec![0; word.len()];
        client.write_all(word).context("ask")?;
        accepted.read_exact(&mut heard).context("hear the question")?;
        accepted.write_all(&heard).context("answer")?;
        client.read_exact(&mut heard).context("hear the answer")?;
        ensure!(heard == word, "another answer: {heard:?}");
    }
    // The kernel sends so much in super-packets.
    let writer = std::thread::spawn(move || {
        (0..MESSAGES).try_for_each(|_| accepted.write_all(&[7; MESSAGE])).map(|()| accepted)
    });
    let mut heard = vec![0; MESSAGES * MESSAGE];
    client.read_exact(&mut heard).context("hear much")?;
    let written = writer.join().map_err(|_| anyhow!("the writer panicked"))?;
    written.context("say much")?;
    ensure!(heard.iter().all(|byte| *byte == 7), "other bytes than were sent");
    Ok(())
}

/// How many packets of a protocol from `source` to `target` each router saw.
fn arrived(lab: &Lab, protocol: u64, source: IpAddr, target: IpAddr) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for router in &lab.routers {
        let arrivals = router.arrivals()?.into_iter();
        let matching = arrivals
            .filter(|a| (a.protocol, a.source, a.destination) == (protocol, source, target));
        counts.push(matching.map(|a| a.packets).sum());
    }
    Ok(counts)
}

#[test]
fn sctp_is_answered_over_the_uplink_it_came_in_on() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.meet_default_gateway()?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let source = addressing::client(2, family);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                sctp_talk(&lab, source, target)?;
                let counts = arrived(&lab, SCTP, target, source)?;
                ensure!(counts[0] == 0 && counts[1] > 0, "replies of {target}: {counts:?}");
            }
        }
        ensure!(prroute.count("sender_told")? == 0, "packets were taken for too big");
        Ok(())
    })
}

/// Both directions of one end's protection, in transport mode.
fn esp_end(namespace: &Namespace, own: IpAddr, other: IpAddr) -> Result<()> {
    const KEYS: &str = "auth hmac(sha256) 0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
                        enc cbc(aes) 0x0123456789abcdef0123456789abcdef";
    // The same numbers at both ends: one for each direction, by the order of the addresses.
    let spi = |source: IpAddr, target: IpAddr| if source < target { 0x101 } else { 0x102 };
    for (source, target, direction) in [(own, other, "out"), (other, own, "in")] {
        let spi = spi(source, target);
        let name = format!("src {source} dst {target}");
        namespace
            .ip(&format!("xfrm state add {name} proto esp spi {spi} mode transport {KEYS}"))?;
        let length = addressing::full_length(Family::of(own));
        namespace.ip(&format!(
            "xfrm policy add src {source}/{length} dst {target}/{length} dir {direction} \
             tmpl {name} proto esp mode transport"
        ))?;
    }
    Ok(())
}

#[test]
fn esp_is_answered_over_the_uplink_it_came_in_on() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.meet_default_gateway()?;
    for family in Family::BOTH {
        let (client, shared) = (addressing::client(2, family), addressing::shared(family));
        esp_end(&lab.client, client, shared)?;
        esp_end(&lab.host, shared, client)?;
    }
    let ping = |family: Family| -> Result<bool> {
        let (from, to) = (addressing::client(2, family), addressing::shared(family));
        let (from, to) = (from.to_string(), to.to_string());
        let ping = ["ping", family.option(), "-n", "-q", "-c", "3", "-i", "0.2", "-W", "5"];
        Ok(lab.client.output(&[&ping[..], &["-I", &from, &to]].concat())?.status.success())
    };
    for family in Family::BOTH {
        ensure!(!ping(family)?, "{family} is answered without prroute");
    }
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (source, target) = (addressing::shared(family), addressing::client(2, family));
            let before = arrived(&lab, ESP, source, target)?;
            ensure!(ping(family)?, "no answer over {family}");
            let after = arrived(&lab, ESP, source, target)?;
            ensure!(
                after[0] == before[0] && after[1] >= before[1] + 3,
                "{family}: {before:?}, then {after:?}"
            );
        }
        Ok(())
    })
}
