//! Servers that send back what they get, from the address they were asked on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::addressing::Family;
use crate::netns::Namespace;
use crate::socket;
use crate::wait;

/// How soon a server notices that it shall end.
const ATTENTION: Duration = Duration::from_millis(50);

/// Time without an answer after which a question counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// What [`silent`] asks.
pub const QUESTIONS: [&str; 3] = ["TCP", "UDP", "ping"];

/// Echo servers, stopped when dropped.
#[derive(Debug)]
pub struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    /// UDP and TCP on `port` of each address, one socket per address.
    pub fn start(namespace: &Namespace, addresses: &[IpAddr], port: u16) -> Result<Self> {
        let mut echo = Self { stop: Arc::default(), threads: Vec::new() };
        for &address in addresses {
            let udp = socket::udp(namespace, address, port)?;
            udp.set_read_timeout(Some(ATTENTION)).context("set a read timeout")?;
            let tcp = socket::listen(namespace, address, port)?;
            tcp.set_nonblocking(true).context("make a listener non-blocking")?;
            let stop = Arc::clone(&echo.stop);
            echo.threads.push(std::thread::spawn(move || serve_udp(&udp, &stop)));
            let stop = Arc::clone(&echo.stop);
            echo.threads.push(std::thread::spawn(move || serve_tcp(&tcp, &stop)));
        }
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("an echo server panicked");
            }
        }
    }
}

/// Sends `length` bytes and waits until they come back.
pub fn tcp_round(stream: &mut TcpStream, length: usize) -> Result<()> {
    let sent = pattern(length);
    stream.write_all(&sent).context("send to the echo server")?;
    let mut back = vec![0; length];
    stream.read_exact(&mut back).context("hear from the echo server")?;
    ensure!(sent == back, "the echo differs");
    Ok(())
}

/// Sends a datagram of `length` bytes and waits until it comes back; `false` after the socket's
/// read timeout. It has a number: a late answer to an earlier one is none to this.
pub fn udp_round(socket: &UdpSocket, target: SocketAddr, length: usize) -> Result<bool> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut sent = pattern(length);
    for (byte, of_number) in sent.iter_mut().rev().zip(number.iter().rev()) {
        *byte = *of_number;
    }
    socket.send_to(&sent, target).with_context(|| format!("send to {target}"))?;
    let mut back = vec![0; length + 1];
    loop {
        match socket::uninterrupted(|| socket.recv_from(&mut back)) {
            Ok((size, from)) if from == target && back[..size] == sent => return Ok(true),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("hear from {target}")),
        }
    }
}

/// Which of TCP, UDP and ping from `source` to an echo server at `target` is not answered.
pub fn silent(
    from: &Namespace,
    source: IpAddr,
    target: IpAddr,
    port: u16,
) -> Result<Vec<&'static str>> {
    let [by_tcp, by_udp, by_ping] = QUESTIONS;
    let mut silent = Vec::new();
    let (near, there) = (SocketAddr::new(source, 0), SocketAddr::new(target, port));
    let tcp = socket::tcp_from(from, near, there, PATIENCE);
    if tcp.and_then(|mut tcp| tcp_round(&mut tcp, 5_000)).is_err() {
        silent.push(by_tcp);
    }
    let udp = socket::udp(from, source, 0)?;
    udp.set_read_timeout(Some(wait::patience(PATIENCE))).context("set a read timeout")?;
    if !udp_round(&udp, there, 1_000)? {
        silent.push(by_udp);
    }
    let seconds = wait::whole_seconds(PATIENCE).to_string();
    let (option, near, there) =
        (Family::of(source).option(), source.to_string(), target.to_string());
    let ping = ["ping", option, "-n", "-q", "-c", "1", "-W", &seconds, "-I", &near, &there];
    if !from.output(&ping)?.status.success() {
        silent.push(by_ping);
    }
    Ok(silent)
}

/// Whether a read ended with its timeout.
pub fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn serve_udp(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        // Errors are timeouts, and what clients that went away cause.
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(&buffer[..length], from));
        }
    }
}

fn serve_tcp(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    let mut connections = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let stop = Arc::clone(stop);
                connections.push(std::thread::spawn(move || serve_connection(stream, &stop)));
            }
            Err(_) => std::thread::sleep(wait::POLL),
        }
    }
    for connection in connections {
        drop(connection.join());
    }
}

/// Until the client ends it, or resets it.
fn serve_connection(mut stream: TcpStream, stop: &AtomicBool) {
    let set_up = stream.set_nonblocking(false);
    let set_up = set_up.and_then(|()| stream.set_read_timeout(Some(ATTENTION)));
    if set_up.and_then(|()| stream.set_nodelay(true)).is_err() {
        return;
    }
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        match socket::uninterrupted(|| stream.read(&mut buffer)) {
            Ok(0) => return,
            Ok(length) if stream.write_all(&buffer[..length]).is_err() => return,
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(_) => return,
        }
    }
}
