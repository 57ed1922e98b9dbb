//! Requests and their answers, one at a time.

use std::fmt;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::libc::nlmsghdr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::lenient;
use super::unreadable::{Object, Unreadable};

/// The kernel fills at most 32 KiB per message of a dump, but for a link whose other names alone may
/// take 64 KiB.
pub(super) const BUFFER: usize = 128 * 1024;
const HEADER: usize = size_of::<nlmsghdr>();
/// `NLMSGERR_ATTR_MSG`, which neither libc nor netlink-packet-core has.
const ATTR_MESSAGE: u16 = 1;

/// The kernel's refusal: error number, and its own words where it has some.
#[derive(Debug)]
pub struct Refusal {
    source: io::Error,
    words: Option<String>,
}

impl Refusal {
    /// The error number, when there is one.
    pub fn errno(&self) -> Option<Errno> {
        self.source.raw_os_error().map(Errno::from_raw)
    }

    pub fn is_permission_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    /// The kernel does not have the family of addresses: IPv6 after `ipv6.disable=1`.
    pub fn is_unknown_family(&self) -> bool {
        matches!(self.errno(), Some(Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP))
    }

    /// See [`is_transient`].
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }
}

/// A device, or the way to a gateway, was not there (any more). What is heard of next says what is
/// right then.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENODEV | Errno::ENETDOWN | Errno::ENETUNREACH | Errno::EHOSTUNREACH)
    )
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.words {
            Some(words) => write!(f, "{} ({words})", self.source),
            None => self.source.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self { source, words: None }
    }
}

/// What came in.
enum Answer {
    Object(Result<RouteNetlinkMessage, Unreadable>),
    /// End of a dump, or acknowledgement.
    End,
    Refused(Refusal),
}

#[derive(Debug)]
pub(super) struct Socket {
    fd: AsyncFd<netlink_sys::Socket>,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        let fd = register(socket)?;
        Ok(Self { fd, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends a change and waits for the acknowledgement.
    pub(super) async fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), Refusal> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags).await?;
        self.acknowledgement().await
    }

    async fn acknowledgement(&mut self) -> Result<(), Refusal> {
        let mut result = Ok(());
        self.receive(|answer| {
            if let Answer::Refused(refusal) = answer {
                result = Err(refusal);
            }
        })
        .await?;
        result
    }

    /// Sends changes of which each may fail for itself, in one go: nothing comes between them. Waits
    /// for the last one's acknowledgement; what the kernel says to the others is passed over.
    pub(super) async fn change_together(
        &mut self,
        messages: Vec<RouteNetlinkMessage>,
    ) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        let last = messages.len().saturating_sub(1);
        for (number, message) in messages.into_iter().enumerate() {
            let acknowledge = if number == last { NLM_F_ACK } else { 0 };
            bytes.extend(self.serialize(message, NLM_F_REQUEST | acknowledge));
        }
        self.send_bytes(&bytes).await?;
        self.acknowledgement().await
    }

    /// Reads a table. `false`: it changed meanwhile, and what was handed out is not consistent. Of IPv6
    /// routes the kernel does not say that.
    pub(super) async fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        object: impl FnMut(Result<RouteNetlinkMessage, Unreadable>),
    ) -> Result<bool, Refusal> {
        self.ask(message, NLM_F_DUMP, object).await
    }

    /// Asks for one object.
    pub(super) async fn get(
        &mut self,
        message: RouteNetlinkMessage,
        object: impl FnMut(Result<RouteNetlinkMessage, Unreadable>),
    ) -> Result<(), Refusal> {
        // The acknowledgement comes behind the object.
        self.ask(message, NLM_F_ACK, object).await.map(drop)
    }

    async fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut object: impl FnMut(Result<RouteNetlinkMessage, Unreadable>),
    ) -> Result<bool, Refusal> {
        self.send(message, NLM_F_REQUEST | flags).await?;
        let mut result = Ok(());
        let interrupted = self
            .receive(|answer| match answer {
                Answer::Object(message) => object(message),
                Answer::Refused(refusal) => result = Err(refusal),
                Answer::End => {}
            })
            .await?;
        result.map(|()| !interrupted)
    }

    async fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let bytes = self.serialize(message, flags);
        self.send_bytes(&bytes).await
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.fd.async_io(Interest::WRITABLE, |socket| socket.send(bytes, 0)).await?;
        Ok(())
    }

    fn serialize(&mut self, message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// Hands out the answers to the last request up to the final one; tells whether any of them
    /// says that the dump was interrupted. Answers to an earlier request, whose future was
    /// dropped, are passed over.
    async fn receive(&mut self, mut answer: impl FnMut(Answer)) -> io::Result<bool> {
        let mut interrupted = false;
        loop {
            self.buffer.clear();
            let buffer = &mut self.buffer;
            self.fd.async_io(Interest::READABLE, |socket| socket.recv(buffer, 0)).await?;
            let mut rest = self.buffer.as_slice();
            while let Some((message, behind)) = split(rest) {
                rest = behind;
                if sequence(message) != self.sequence {
                    continue;
                }
                interrupted |= flags(message) & NLM_F_DUMP_INTR != 0;
                let Some(decoded) = decode(message) else { continue };
                let last = !matches!(decoded, Answer::Object(_));
                answer(decoded);
                if last {
                    return Ok(interrupted);
                }
            }
            if !rest.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer is cut off"));
            }
        }
    }
}

/// Makes tokio watch a socket.
pub(super) fn register(socket: netlink_sys::Socket) -> io::Result<AsyncFd<netlink_sys::Socket>> {
    // SAFETY: the socket owns its descriptor, returns the same one from every call, and cannot
    // be taken apart or replaced while the AsyncFd, which owns it, hands out shared references.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}

/// The first message of a datagram, and what follows it.
pub(super) fn split(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok().filter(|length| *length >= HEADER)?;
    let message = datagram.get(..length)?;
    let aligned = length.next_multiple_of(4).min(datagram.len());
    Some((message, &datagram[aligned..]))
}

fn sequence(message: &[u8]) -> u32 {
    message.get(8..12).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn flags(message: &[u8]) -> u16 {
    message.get(6..8).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

/// `None`: nothing that was waited for.
fn decode(bytes: &[u8]) -> Option<Answer> {
    let message = match lenient::deserialize(bytes) {
        Ok(message) => message,
        // Nothing comes behind it.
        Err(Unreadable { object: Object::Control, error, .. }) => {
            return Some(Answer::Refused(io::Error::new(io::ErrorKind::InvalidData, error).into()));
        }
        Err(unreadable) => return Some(Answer::Object(Err(unreadable))),
    };
    let (header, payload) = message.into_parts();
    Some(match payload {
        NetlinkPayload::InnerMessage(message) => Answer::Object(Ok(message)),
        NetlinkPayload::Done(done) if done.code < 0 => {
            Answer::Refused(refusal_of(done.code).into())
        }
        NetlinkPayload::Done(_) => Answer::End,
        NetlinkPayload::Error(error) if error.code.is_none() => Answer::End,
        NetlinkPayload::Error(error) => Answer::Refused(Refusal {
            source: refusal_of(error.raw_code()),
            words: (header.flags & NLM_F_ACK_TLVS != 0).then(|| words(&error.header)).flatten(),
        }),
        _ => return None,
    })
}

/// The error of a negative error number, whatever else may stand in its place.
fn refusal_of(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code.saturating_abs())
}

/// Decodes an answer, for [`super::audit`].
pub(super) fn check(message: &[u8]) {
    drop(decode(message));
}

/// The message of an extended acknowledgement, behind the header of the refused request.
fn words(refused: &[u8]) -> Option<String> {
    let attributes = NlasIterator::new(refused.get(HEADER..)?).flatten();
    let message = attributes.into_iter().find(|attribute| attribute.kind() == ATTR_MESSAGE)?;
    let text = String::from_utf8_lossy(message.value()).trim_end_matches('\0').to_owned();
    (!text.is_empty()).then_some(text)
}
