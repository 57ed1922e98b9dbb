//! TCP Fast Open (RFC 7413): data with the SYN, and an answer before the handshake is over.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, sendto, socket,
};
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::socket as sockets;
use prroute_tests::wait;

use super::{Astray, PATIENCE, PORT, TOPOLOGY, shared_and_client};

/// Sends `data` with the SYN, as far as the client has a cookie.
fn ask(lab: &Lab, source: SocketAddr, target: SocketAddr, data: &[u8]) -> Result<TcpStream> {
    let opened = lab.client.inside(|| {
        let family = if target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let opened: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .context("open a TCP socket")?;
        bind(opened.as_raw_fd(), &SockaddrStorage::from(source)).context("bind")?;
        let to = SockaddrStorage::from(target);
        sendto(opened.as_raw_fd(), data, &to, MsgFlags::from_bits_retain(libc::MSG_FASTOPEN))
            .context("send with the SYN")?;
        Ok(opened)
    })?;
    let stream = TcpStream::from(opened);
    stream.set_read_timeout(Some(wait::patience(PATIENCE))).context("set a read timeout")?;
    Ok(stream)
}

fn answer(listener: &TcpListener) -> Result<TcpStream> {
    let (mut server, _) = listener.accept().context("accept")?;
    server.read_exact(&mut [0; 8]).context("hear the question")?;
    server.write_all(b"answered").context("answer")?;
    Ok(server)
}

fn allow(listener: &TcpListener) -> Result<()> {
    let queue: libc::c_int = 16;
    // SAFETY: the descriptor is open, and the value is live and of the given length.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const queue).cast(),
            size_of_val(&queue) as u32,
        )
    };
    Errno::result(result).map(drop).context("set TCP_FASTOPEN")
}

/// The client's ACKs are lost for a while: the answer does not wait for them.
#[test]
fn an_answer_to_a_syns_data_leaves_by_the_uplink_of_the_syn() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    for namespace in [&lab.host, &lab.client] {
        namespace.sysctl(&["net.ipv4.tcp_fastopen=3"])?;
    }
    lab.with_prroute(|_| {
        lab.steer_both(2)?;
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            let (source, target) = (SocketAddr::new(client, 0), SocketAddr::new(shared, PORT));
            let listener = sockets::listen(&lab.host, shared, PORT)?;
            allow(&listener)?;
            // The first connection brings the cookie.
            let mut first = ask(&lab, source, target, b"question")?;
            let server = answer(&listener)?;
            first.read_exact(&mut [0; 8]).context("the first answer")?;
            drop((first, server));
            lab.client.nft(
                "table inet late {
                    chain out {
                        type filter hook output priority 0;
                        tcp dport 7007 tcp flags & (syn | ack) == ack drop
                    }
                }",
            )?;
            let astray = Astray::watch(&lab, shared, client)?;
            let before = lab.router(2).arrived(shared, client)?;
            let mut second = ask(&lab, source, target, b"question")?;
            let server = answer(&listener).context("the question did not come with the SYN")?;
            second.read_exact(&mut [0; 8]).context("no answer before the handshake is over")?;
            let arrived = lab.router(2).arrived(shared, client)? - before;
            assert!(arrived >= 2, "SYN-ACK and answer over uplink 2: {arrived}");
            astray.expect_none()?;
            lab.client.run(&["nft", "delete", "table", "inet", "late"])?;
            drop((second, server));
        }
        Ok(())
    })
}
