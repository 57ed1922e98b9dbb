//! Sockets in a namespace, for exchanges that no program of the system makes.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::netns::Namespace;
use crate::wait;

/// Time for an answer that is expected; [`wait::patience`] applies to it in this module.
pub const ANSWER: Duration = Duration::from_secs(5);

/// A UDP socket bound to `local`; port 0 for any. Reads end after [`ANSWER`].
pub fn udp(namespace: &Namespace, local: IpAddr, port: u16) -> Result<UdpSocket> {
    let address = SocketAddr::new(local, port);
    let bind = || free(|| UdpSocket::bind(address)).with_context(|| format!("bind UDP {address}"));
    let socket = namespace.inside(bind)?;
    socket.set_read_timeout(Some(wait::patience(ANSWER))).context("set a read timeout")?;
    Ok(socket)
}

/// A TCP socket that listens on `local`.
pub fn listen(namespace: &Namespace, local: IpAddr, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(local, port);
    namespace.inside(|| {
        free(|| TcpListener::bind(address)).with_context(|| format!("listen on {address}"))
    })
}

/// Binds, also where an earlier socket of this test is at the address that it has just closed: a program that
/// another test is about to start has it too, from fork(2) to execve(2).
fn free<T>(mut bind: impl FnMut() -> io::Result<T>) -> Result<T> {
    wait::until("the address is free", ANSWER, || match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        result => Ok(Some(result?)),
    })
}

/// A TCP connection from `source` to `target`. Reads end after [`ANSWER`], as does the attempt.
pub fn tcp(namespace: &Namespace, source: IpAddr, target: IpAddr, port: u16) -> Result<TcpStream> {
    tcp_from(namespace, SocketAddr::new(source, 0), SocketAddr::new(target, port), ANSWER)
}

/// Likewise, from a port of choice, and with a deadline of choice for the attempt.
pub fn tcp_from(
    namespace: &Namespace,
    source: SocketAddr,
    target: SocketAddr,
    deadline: Duration,
) -> Result<TcpStream> {
    let socket = namespace.inside(|| {
        let family = if target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket: OwnedFd =
            socket(family, SockType::Stream, flags, None).context("open a TCP socket")?;
        setsockopt(&socket, sockopt::ReuseAddr, &true).context("reuse the address")?;
        // It bounds connect(2) too.
        let timeout = TimeVal::seconds(wait::whole_seconds(deadline).cast_signed());
        setsockopt(&socket, sockopt::SendTimeout, &timeout).context("set a send timeout")?;
        free(|| Ok(bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?))
            .with_context(|| format!("bind TCP {source}"))?;
        uninterrupted(|| match connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
            // An earlier call got that far before it was interrupted.
            Err(Errno::EISCONN) => Ok(()),
            result => Ok(result?),
        })
        .with_context(|| format!("connect {source} to {target}"))?;
        Ok(socket)
    })?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(wait::patience(ANSWER))).context("set a read timeout")?;
    stream.set_nodelay(true).context("send at once")?;
    Ok(stream)
}

/// Calls again when the call was interrupted. With a timeout the kernel resumes no wait on a socket that
/// was cut short because the process, or the machine, was stopped for a while (signal(7)).
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sets an option that the libraries have no name for.
pub fn set_option(socket: &UdpSocket, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let length = value.len() as nix::libc::socklen_t;
    // SAFETY: the descriptor is open, and `value` is live and of the given length.
    let result = unsafe {
        nix::libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length)
    };
    Errno::result(result).map(drop).with_context(|| format!("set option {name} of level {level}"))
}

/// How many routers a packet of this socket passes.
pub fn set_hops(socket: &UdpSocket, hops: u32) -> Result<()> {
    let is_v4 = socket.local_addr().context("ask for a socket's address")?.is_ipv4();
    let hops = hops.cast_signed();
    if is_v4 {
        setsockopt(socket, sockopt::Ipv4Ttl, &hops).context("set IP_TTL")
    } else {
        setsockopt(socket, sockopt::Ipv6Ttl, &hops).context("set IPV6_UNICAST_HOPS")
    }
}

/// Ends a connection by a reset.
pub fn abort(stream: TcpStream) -> Result<()> {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, sockopt::Linger, &linger).context("set SO_LINGER")?;
    drop(stream);
    Ok(())
}
