//! The network namespace of this process: an instance belongs to one.

use std::fmt;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::str::FromStr;

use nix::errno::Errno;
use nix::libc;
use serde::{Deserialize, Serialize};

/// The calling thread's; a thread may have entered another one than its process.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// Tells network namespaces of one boot apart. Its text is `INODE-COOKIE`, or `INODE` alone where
/// the kernel has no cookies, and fits into a file name on bpffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NetworkNamespace {
    /// As `lsns -t net` and `readlink /proc/PID/ns/net` show it. The kernel uses the number again
    /// when the namespace is gone.
    inode: u64,
    /// Never used again before the next boot (Linux 5.14).
    cookie: Option<u64>,
}

/// The current network namespace cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {CURRENT}: {source}")]
pub struct NamespaceError {
    operation: &'static str,
    source: io::Error,
}

impl NetworkNamespace {
    /// # Errors
    ///
    /// When /proc does not show it.
    pub fn current() -> Result<Self, NamespaceError> {
        let failed = |operation| move |source| NamespaceError { operation, source };
        let inode = fs::metadata(CURRENT).map_err(failed("look at"))?.ino();
        let cookie = match cookie() {
            Ok(cookie) => Some(cookie),
            Err(error) if error.raw_os_error() == Some(Errno::ENOPROTOOPT as i32) => None,
            Err(error) => return Err(failed("read the cookie of")(error)),
        };
        Ok(Self { inode, cookie })
    }

    /// Its number in /proc/PID/ns/net.
    pub const fn inode(self) -> u64 {
        self.inode
    }
}

impl fmt::Display for NetworkNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cookie {
            Some(cookie) => write!(f, "{}-{cookie}", self.inode),
            None => self.inode.fmt(f),
        }
    }
}

impl From<NetworkNamespace> for String {
    fn from(namespace: NetworkNamespace) -> Self {
        namespace.to_string()
    }
}

/// A text that no network namespace has.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no network namespace: INODE-COOKIE or INODE is expected")]
pub struct NoNamespace(String);

impl FromStr for NetworkNamespace {
    type Err = NoNamespace;

    fn from_str(text: &str) -> Result<Self, NoNamespace> {
        let number = |digits: &str| digits.parse().map_err(|_| NoNamespace(text.to_owned()));
        Ok(match text.split_once('-') {
            Some((inode, cookie)) => Self { inode: number(inode)?, cookie: Some(number(cookie)?) },
            None => Self { inode: number(text)?, cookie: None },
        })
    }
}

impl TryFrom<String> for NetworkNamespace {
    type Error = NoNamespace;

    fn try_from(text: String) -> Result<Self, NoNamespace> {
        text.parse()
    }
}

/// The cookie of the calling thread's network namespace (SO_NETNS_COOKIE, Linux 5.14); a socket of
/// any family knows it.
pub(crate) fn cookie() -> io::Result<u64> {
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0u64;
    let size = mem::size_of_val(&cookie);
    let mut length = libc::socklen_t::try_from(size).unwrap_or_default();
    // SAFETY: the descriptor is open, and both pointers are to live values: the kernel writes at
    // most `length` bytes, which is the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(result)?;
    Ok(cookie)
}

#[cfg(test)]
mod tests {
    use super::{NetworkNamespace, cookie};

    #[test]
    fn a_network_namespace_has_a_cookie() {
        assert_ne!(cookie().unwrap(), 0);
    }

    #[test]
    fn it_is_told_by_inode_and_cookie() {
        let here = NetworkNamespace::current().unwrap();
        assert_eq!(here, NetworkNamespace::current().unwrap());
        assert_eq!(here.to_string().parse::<NetworkNamespace>().unwrap(), here);
        let reused: NetworkNamespace = "4026531840-7".parse().unwrap();
        let before: NetworkNamespace = "4026531840-6".parse().unwrap();
        assert_eq!(reused.inode(), before.inode());
        assert_ne!(reused, before);
    }

    #[test]
    fn it_is_a_text_in_a_file_also_without_a_cookie() {
        for text in ["4026531840-1", "4026531840"] {
            let json = serde_json::to_string(&text.parse::<NetworkNamespace>().unwrap()).unwrap();
            assert_eq!(json, format!("{text:?}"));
            let read: NetworkNamespace = serde_json::from_str(&json).unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in ["", "-", "1-", "-1", "x", "1-2-3", "1.5"] {
            assert!(text.parse::<NetworkNamespace>().is_err(), "{text:?} was accepted");
        }
    }
}
