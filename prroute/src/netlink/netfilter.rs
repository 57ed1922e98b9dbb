//! What questions to the parts of netfilter have in common (nftables, connection tracking). None of them
//! makes the kernel load a module.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NlasIterator};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::libc::{self, MSG_DONTWAIT};

use super::request::split;

const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;
pub(super) const HEADER: usize = size_of::<libc::nlmsghdr>();
/// With `struct nfgenmsg` behind it.
pub(super) const HEADERS: usize = HEADER + 4;
const BUFFER: usize = 64 * 1024;

/// To ask would make the kernel load the module. One without loadable modules has it or not.
pub(super) fn is_loaded(module: &str) -> bool {
    let is_it = |line: &str| line.split(' ').next() == Some(module);
    fs::read_to_string("/proc/modules").map_or(true, |modules| modules.lines().any(is_it))
}

/// What came of reading all objects.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) found: Vec<T>,
    /// Not only of a part, because there are too many.
    pub(super) is_whole: bool,
}

impl<T> Read<T> {
    #[expect(clippy::needless_pass_by_value, reason = "it stands for the result of an error")]
    pub(super) fn failed(error: io::Error) -> Self {
        tracing::debug!("read netfilter: {error}");
        Self { found: Vec::new(), is_whole: false }
    }
}

/// What `object` makes of each answer of a type.
pub(super) fn each<T>(
    request: &[u8],
    answer: u16,
    patience: Duration,
    object: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Read<T>> {
    let limit = Instant::now() + patience;
    let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    while Instant::now() < limit {
        buffer.clear();
        // The kernel has filled the queue when it returns from the system call before.
        socket.recv(&mut buffer, MSG_DONTWAIT)?;
        let mut rest = buffer.as_slice();
        while let Some((message, behind)) = split(rest) {
            rest = behind;
            match u16_at(message, 4) {
                Some(kind) if kind == answer => found.extend(object(message)),
                Some(DONE) => return Ok(Read { found, is_whole: true }),
                Some(ERROR) => {
                    return refused(message).map_or(Ok(Read { found, is_whole: true }), Err);
                }
                _ => {}
            }
        }
    }
    tracing::debug!("there is more than was looked at");
    Ok(Read { found, is_whole: false })
}

/// Asks for all objects of a family, 0: of all.
pub(super) fn request(message: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADERS];
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    bytes[4..6].copy_from_slice(&message.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[HEADER] = family;
    bytes.extend(attributes);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

fn refused(message: &[u8]) -> Option<io::Error> {
    let code = message.get(HEADER..HEADERS)?.try_into().ok().map(i32::from_ne_bytes)?;
    (code != 0).then(|| io::Error::from_raw_os_error(-code))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// Kinds and values of attributes, as far as they can be read.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|attribute| {
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(4..length)?))
    })
}

pub(super) fn value(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number, in network byte order.
pub(super) fn number(bytes: &[u8], kind: u16) -> Option<u32> {
    Some(u32::from_be_bytes(value(bytes, kind)?.get(..4)?.try_into().ok()?))
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
