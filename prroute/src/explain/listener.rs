//! Who answers on the host itself: a socket, or the kernel.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::question::{ICMP, ICMPV6, Question, SCTP, TCP, UDP};
use super::step::{Found, Stage, Step};
use crate::examine::listening_at;
use crate::netlink::sock_diag::{self, Found as Socket};
use crate::state::observed::Family;
use crate::state::uplink::Ifindex;

/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// Who hears the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A socket, and the process that has it.
    Socket { socket: Socket, process: Option<String> },
    /// Nobody; and where sockets of the same port listen.
    Nobody { elsewhere: Vec<SocketAddr> },
    /// The kernel itself answers echo requests, or is told not to.
    Kernel { answers: bool, sysctl: &'static str },
    /// It could not be found out.
    Unknown(String),
}

impl Listener {
    /// The device that its socket is bound to.
    pub(crate) fn device(&self) -> Option<Ifindex> {
        match self {
            Self::Socket { socket, .. } => socket.device,
            _ => None,
        }
    }

    /// The user by whom rules choose the route of what answers; the kernel's own answers are root's. `None`: it
    /// is not known.
    pub(crate) fn uid(&self) -> Option<u32> {
        match self {
            Self::Socket { socket, .. } => socket.uid,
            Self::Kernel { .. } => Some(0),
            Self::Nobody { .. } | Self::Unknown(_) => None,
        }
    }

    /// A socket without a connection and an address of its own, which may send without a source.
    pub(crate) fn may_send_without_source(&self, protocol: u8) -> bool {
        match self {
            Self::Socket { socket, .. } => protocol == UDP && socket.is_wildcard(),
            _ => false,
        }
    }

    /// Asks who hears a request to `server` that came in by `on`.
    pub(crate) fn of(question: &Question, server: SocketAddr, on: Ifindex) -> Self {
        match question.number() {
            protocol @ (TCP | UDP) => {
                match sock_diag::hearing(protocol, (question.client, server), on) {
                    Ok(Some(socket)) => {
                        Self::Socket { socket, process: process_with(socket.inode) }
                    }
                    Ok(None) => Self::Nobody { elsewhere: listening_at(protocol, server.port()) },
                    Err(error) => without_diag(protocol, server, &error),
                }
            }
            ICMP => Self::echo("net/ipv4/icmp_echo_ignore_all"),
            ICMPV6 => Self::echo("net/ipv6/icmp/echo_ignore_all"),
            SCTP => sctp(server),
            other => Self::Unknown(format!("who takes protocol {other} is not looked at")),
        }
    }

    fn echo(sysctl: &'static str) -> Self {
        let value = fs::read_to_string(Path::new("/proc/sys").join(sysctl)).unwrap_or_default();
        Self::Kernel { answers: value.trim() != "1", sysctl }
    }
}

/// By /proc/net, which does not tell the device that a socket is bound to; whose it is is not looked at.
fn without_diag(protocol: u8, server: SocketAddr, error: &io::Error) -> Listener {
    let elsewhere = listening_at(protocol, server.port());
    let hears = |local: &SocketAddr| {
        let ip = local.ip();
        ip == server.ip() || ip.is_unspecified() && (local.is_ipv6() || server.is_ipv4())
    };
    match elsewhere.iter().copied().find(hears) {
        Some(local) => {
            let state = if protocol == TCP { LISTEN } else { 7 };
            let socket = Socket { state, local, device: None, uid: None, inode: 0 };
            Listener::Socket { socket, process: None }
        }
        None if error.kind() == io::ErrorKind::Unsupported => Listener::Nobody { elsewhere },
        None => Listener::Unknown(format!("sockets cannot be asked for: {error}")),
    }
}

/// The endpoints of SCTP: `.. LPORT UID INODE LADDRS`.
fn sctp(server: SocketAddr) -> Listener {
    let Ok(text) = fs::read_to_string("/proc/net/sctp/eps") else {
        return Listener::Nobody { elsewhere: Vec::new() };
    };
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port: u16 = fields.get(5)?.parse().ok()?;
        let addresses = fields.get(8..)?.iter().filter_map(|address| address.parse().ok());
        let ends = addresses.map(move |address| SocketAddr::new(address, port));
        let uid: Option<u32> = fields.get(6)?.parse().ok();
        Some((uid, fields.get(7)?.parse().unwrap_or(0), ends.collect::<Vec<_>>()))
    };
    let all: Vec<(Option<u32>, u32, Vec<SocketAddr>)> =
        text.lines().skip(1).filter_map(of_line).collect();
    let hears = |local: &SocketAddr| {
        local.port() == server.port() && (local.ip() == server.ip() || local.ip().is_unspecified())
    };
    for (uid, inode, ends) in &all {
        if let Some(local) = ends.iter().copied().find(hears) {
            let (uid, inode) = (*uid, *inode);
            let socket = Socket { state: LISTEN, local, device: None, uid, inode };
            return Listener::Socket { socket, process: process_with(inode) };
        }
    }
    let elsewhere = all.into_iter().flat_map(|(.., ends)| ends);
    Listener::Nobody { elsewhere: elsewhere.filter(|it| it.port() == server.port()).collect() }
}

/// Name and number of the process that has a socket; `None`: none that this one may look into.
fn process_with(inode: u32) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    for process in entries(Path::new("/proc")) {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let has = entries(&process.path().join("fd")).any(|fd| {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            target.as_os_str().as_bytes() == wanted.as_bytes()
        });
        if has {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} ({pid})", name.trim()));
        }
    }
    None
}

pub(crate) fn judge(
    question: &Question,
    server: SocketAddr,
    listener: &Listener,
    device: impl Fn(Ifindex) -> String,
) -> Step {
    const STAGE: Stage = Stage::Listener;
    match listener {
        Listener::Socket { socket, process } => {
            let bound = socket.device.map(|it| format!("%{}", device(it))).unwrap_or_default();
            let process = process.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
            let is_connected = question.number() == TCP && socket.state != LISTEN;
            let state = if is_connected { ", a connection" } else { "" };
            let is_missing = question.is_flow && question.number() == TCP && !is_connected;
            let detail = format!("{}{bound}{process}{state}", socket.local);
            let step = match is_missing {
                true => {
                    let detail = format!("{detail} listens, and has no such connection any more");
                    Step::new(STAGE, Found::Warn, detail)
                }
                false => Step::ok(STAGE, detail),
            };
            step.object("socket", socket.local).object("inode", socket.inode)
        }
        Listener::Nobody { elsewhere } => nobody(question, server, elsewhere),
        Listener::Kernel { answers: true, .. } => {
            Step::ok(STAGE, "the kernel answers echo requests")
        }
        Listener::Kernel { answers: false, sysctl } => {
            Step::stop(STAGE, "the kernel ignores echo requests")
                .cause(format!("{sysctl} is 1: the kernel ignores echo requests"))
                .remedy(format!("sysctl -w {sysctl}=0"))
                .object("sysctl", sysctl)
        }
        Listener::Unknown(why) => Step::new(STAGE, Found::Unknown, why.clone()),
    }
}

fn nobody(question: &Question, server: SocketAddr, elsewhere: &[SocketAddr]) -> Step {
    let answer = match (question.number(), question.family()) {
        (TCP, _) => "the answer is a RST",
        (UDP, _) => "the answer is an ICMP error, port unreachable",
        (SCTP, _) => "the answer is an ABORT, or an ICMP error where the kernel has no SCTP",
        (_, Family::V4 | Family::V6) => "nobody answers",
    };
    let only = match elsewhere {
        [] => String::new(),
        some => {
            let some: Vec<String> = some.iter().take(3).map(ToString::to_string).collect();
            format!(", only at {}", some.join(" and "))
        }
    };
    let detail = format!("no socket hears {server}{only}");
    Step::stop(Stage::Listener, detail.clone())
        .cause(format!("{detail}: {answer}"))
        .remedy("start the service there, or let it listen on every address")
        .refusal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(words: &str) -> Question {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Question::parse(&words, None).unwrap()
    }

    fn judged(words: &str, listener: &Listener) -> Step {
        let question = question(words);
        judge(&question, question.local, listener, |it| format!("eth{it}"))
    }

    fn socket(local: &str, state: u8) -> Listener {
        let local = local.parse().unwrap();
        let socket = Socket { state, local, device: None, uid: Some(0), inode: 7 };
        Listener::Socket { socket, process: Some("python3 (1287)".to_owned()) }
    }

    const ASKED: &str = "tcp from 203.0.113.11 to 198.51.100.10:8080";

    #[test]
    fn a_socket_is_named_with_its_process() {
        let step = judged(ASKED, &socket("0.0.0.0:8080", LISTEN));
        assert_eq!((step.found, step.detail.as_str()), (Found::Ok, "0.0.0.0:8080 python3 (1287)"));
        let flow = "flow tcp 198.51.100.10:8080 203.0.113.11:40000";
        assert_eq!(judged(flow, &socket("0.0.0.0:8080", LISTEN)).found, Found::Warn);
        assert_eq!(judged(flow, &socket("198.51.100.10:8080", 1)).found, Found::Ok);
    }

    #[test]
    fn where_nobody_hears_it_is_said_who_answers_and_where_somebody_would() {
        let elsewhere = vec!["127.0.0.1:8080".parse().unwrap()];
        let step = judged(ASKED, &Listener::Nobody { elsewhere });
        assert!(step.found == Found::Stop && step.is_refusal);
        assert_eq!(step.detail, "no socket hears 198.51.100.10:8080, only at 127.0.0.1:8080");
        assert!(step.cause.unwrap().ends_with("the answer is a RST"));
    }

    #[test]
    fn the_kernel_answers_echo_requests_unless_it_is_told_not_to() {
        let sysctl = "net/ipv4/icmp_echo_ignore_all";
        let ping = "icmp from 203.0.113.11 to 198.51.100.10";
        assert_eq!(judged(ping, &Listener::Kernel { answers: true, sysctl }).found, Found::Ok);
        let ignored = judged(ping, &Listener::Kernel { answers: false, sysctl });
        assert_eq!(ignored.found, Found::Stop);
        assert_eq!(ignored.remedy.as_deref(), Some("sysctl -w net/ipv4/icmp_echo_ignore_all=0"));
    }

    #[test]
    fn only_a_wildcard_socket_of_udp_may_send_without_a_source() {
        assert!(socket("0.0.0.0:53", 7).may_send_without_source(UDP));
        assert!(!socket("0.0.0.0:80", LISTEN).may_send_without_source(TCP));
        assert!(!socket("198.51.100.10:53", 7).may_send_without_source(UDP));
    }
}
