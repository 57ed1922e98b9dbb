//! The servers in `server.py`, and clients that tell which address answered.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::netns::Namespace;
use prroute_tests::process::Process;
use prroute_tests::scratch::Scratch;
use prroute_tests::socket;
use prroute_tests::wait;

/// Where servers listen.
pub(crate) const PORT: u16 = 7007;

/// Without an answer after this a question counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);

const START: Duration = Duration::from_secs(20);

/// The address that is none.
pub(crate) fn wildcard(family: Family) -> &'static str {
    match family {
        Family::V4 => "0.0.0.0",
        Family::V6 => "::",
    }
}

/// Starts a server at [`PORT`] and waits until it is bound.
pub(crate) fn serve(
    namespace: &Namespace,
    scratch: &Scratch,
    mode: &str,
    address: &str,
    rest: &[&str],
) -> Result<Process> {
    let script = scratch.write("server.py", include_str!("server.py"))?.display().to_string();
    let port = PORT.to_string();
    let mut server =
        namespace.spawn(&[&["python3", &script, mode, address, &port], rest].concat())?;
    server.wait_log("the server is ready", START, |log| log.contains("ready").then_some(()))?;
    Ok(server)
}

/// From one address of the client to one of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
}

/// To each uplink's own address and to the shared one, through each router.
pub(crate) fn questions(uplinks: u8, families: &[Family]) -> Vec<Question> {
    let mut questions = Vec::new();
    for number in 1..=uplinks {
        for &family in families {
            let source = addressing::client(number, family);
            for target in [addressing::host(number, family), addressing::shared(family)] {
                questions.push(Question { source, target });
            }
        }
    }
    questions
}

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UdpSocket,
}

impl Client {
    /// Opens a socket inside `namespace`; port 0 for any.
    pub(crate) fn open(namespace: &Namespace, source: IpAddr, port: u16) -> Result<Self> {
        let socket = namespace.inside(|| {
            UdpSocket::bind((source, port)).with_context(|| format!("bind {source} port {port}"))
        })?;
        socket
            .set_read_timeout(Some(wait::patience(PATIENCE)))
            .context("set the client's patience")?;
        Ok(Self { socket })
    }

    pub(crate) fn send(&self, target: IpAddr, text: &str) -> Result<()> {
        let sent = self.socket.send_to(text.as_bytes(), (target, PORT));
        sent.map(drop).with_context(|| format!("send to {target}"))
    }

    /// The address of the next answer; `None` when none comes.
    pub(crate) fn hear(&self) -> Result<Option<IpAddr>> {
        let mut text = [0; 64];
        match socket::uninterrupted(|| self.socket.recv_from(&mut text)) {
            Ok((_, from)) => {
                ensure!(from.port() == PORT, "an answer from {from}");
                Ok(Some(SocketAddr::ip(&from)))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error).context("receive"),
        }
    }

    /// Asks and tells which address answered.
    pub(crate) fn ask(&self, target: IpAddr) -> Result<Option<IpAddr>> {
        self.send(target, "question")?;
        self.hear()
    }
}

/// Asks all at once, each from a port of its own: whether the answer came from the address that
/// was asked. From another one none gets through the routers.
fn ask_all(namespace: &Namespace, questions: &[Question]) -> Result<Vec<bool>> {
    std::thread::scope(|scope| {
        let ask = |question: &Question| {
            let question = *question;
            scope.spawn(move || -> Result<bool> {
                let client = Client::open(namespace, question.source, 0)?;
                Ok(client.ask(question.target)? == Some(question.target))
            })
        };
        let threads: Vec<_> = questions.iter().map(ask).collect();
        let answers = threads.into_iter();
        answers.map(|thread| thread.join().unwrap_or_else(|_| bail!("a client panicked"))).collect()
    })
}

/// An error that names the wrong ones unless exactly those were answered that should be.
pub(crate) fn expect_answered(
    namespace: &Namespace,
    questions: &[Question],
    should: impl Fn(&Question) -> bool,
) -> Result<()> {
    ensure!(!questions.is_empty(), "nothing was asked");
    let answered = ask_all(namespace, questions)?;
    let outcomes = questions.iter().zip(answered);
    let wrong: Vec<_> = outcomes.filter(|(q, answered)| *answered != should(q)).collect();
    ensure!(wrong.is_empty(), "{} of {} are wrong: {wrong:#?}", wrong.len(), questions.len());
    Ok(())
}
