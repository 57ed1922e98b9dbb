//! BIG TCP: super-packets above 64 KiB are moved whole. IPv6 has a hop-by-hop header for their
//! length, IPv4 says 0.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::socket::{listen, tcp};

const PORT: u16 = 7007;
const LARGEST: u32 = 200_000;
/// What a length field of 16 bits can say, and an Ethernet header.
const ORDINARY: usize = 65_535 + 14;
/// Not more: the routers lose some of the largest IPv6 packets when they forward them, with or
/// without prroute.
const TRANSFER: usize = 16 << 20;
const CHUNK: usize = 1 << 20;

/// Bytes of a frame, of a line of tcpdump -e.
fn length(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once(", length ")?;
    rest.split(':').next()?.parse().ok()
}

/// Attributes of a link (if_link.h): for all packets, and, since 6.3, for those of IPv4, of which
/// older `ip` programs do not know.
const ATTRIBUTES: [u16; 4] = [41, 58, 63, 64];

/// One RTM_NEWLINK with the largest sizes for packets that are sent and merged.
fn allow_super_packets_on(namespace: &Namespace, device: &str) -> Result<()> {
    const NEW_LINK: u16 = 16;
    const REQUEST_WITH_ANSWER: u16 = 5;
    const HEADERS: usize = 32;
    namespace.inside(|| {
        let index = if_nametoindex(device).with_context(|| format!("find {device}"))?;
        let mut message = Vec::new();
        message.extend((HEADERS + ATTRIBUTES.len() * 8).to_ne_bytes()[..4].iter());
        message.extend(NEW_LINK.to_ne_bytes());
        message.extend(REQUEST_WITH_ANSWER.to_ne_bytes());
        // Sequence number and port; then family, type, and what else is left as it is.
        message.extend([0; 8 + 4]);
        message.extend(index.to_ne_bytes());
        message.extend([0; 8]);
        for attribute in ATTRIBUTES {
            message.extend(8u16.to_ne_bytes());
            message.extend(attribute.to_ne_bytes());
            message.extend(LARGEST.to_ne_bytes());
        }
        let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
            .context("open a netlink socket")?;
        send(socket.as_raw_fd(), &message, MsgFlags::empty()).context("ask for larger packets")?;
        let mut answer = [0; 256];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let error = answer[..length].get(16..20).context("a short answer")?;
        ensure!(error == [0; 4], "{device}: error {error:?}");
        Ok(())
    })
}

fn allow_super_packets(lab: &Lab) -> Result<()> {
    for number in 1..=2 {
        allow_super_packets_on(&lab.host, &addressing::device(number))?;
        allow_super_packets_on(&lab.router(number).namespace, "host")?;
    }
    lab.host.sysctl(&["net.ipv4.tcp_wmem=4096 1048576 16777216"])?;
    lab.client.sysctl(&["net.ipv4.tcp_rmem=4096 1048576 16777216"])
}

#[test]
fn super_packets_above_64_kib_are_moved_whole() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    allow_super_packets(&lab)?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::shared(family));
            let listener = listen(&lab.host, target, PORT)?;
            let server = std::thread::spawn(move || -> std::io::Result<()> {
                let (mut stream, _) = listener.accept()?;
                let chunk = vec![7; CHUNK];
                for _ in 0..TRANSFER / CHUNK {
                    stream.write_all(&chunk)?;
                }
                Ok(())
            });
            let filter = format!("src host {target} and greater {ORDINARY}");
            let large = Capture::start(&lab.router(2).namespace, "host", "in", &filter)?;
            let mut stream = tcp(&lab.client, source, target, PORT)?;
            let mut chunk = vec![0; CHUNK];
            for _ in 0..TRANSFER / CHUNK {
                stream.read_exact(&mut chunk).with_context(|| format!("from {target}"))?;
            }
            server.join().expect("the server panicked")?;
            ensure!(large.wait_for(1, Duration::from_secs(10))?, "{family}: no super-packet came");
            let lengths: Vec<usize> =
                large.stop()?.iter().filter_map(|line| length(line)).collect();
            let largest = lengths.iter().max().copied().unwrap_or_default();
            ensure!(largest > ORDINARY, "{family}: the largest has {largest} bytes");
            println!("{family}: {} super-packets, the largest of {largest} bytes", lengths.len());
        }
        assert_eq!(prroute.count("too_big")?, 0);
        assert_eq!(prroute.count("sender_told")?, 0, "their segments fit");
        assert_eq!(prroute.count("unparsable")?, 0);
        Ok(())
    })
}
