//! Changes while a table is read.

use std::io;

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink::NetlinkError;

/// Hears what the kernel announces: of routes before a change can be seen, of rules at once afterwards (since
/// Linux 6.10, where reading them does not wait for who changes them).
pub(super) struct Changes(Socket);

impl Changes {
    /// Hears of changes from now on, of one multicast group.
    pub(super) fn listen(group: u32) -> Result<Self, NetlinkError> {
        Self::open(group)
            .map_err(|source| NetlinkError::Socket { operation: "listen to changes", source })
    }

    fn open(group: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        socket.add_membership(group)?;
        Ok(Self(socket))
    }

    pub(super) fn were_announced(&self) -> bool {
        // Which ones does not matter: the rest of the message is cut off.
        let mut begin = Vec::with_capacity(16);
        let received = self.0.recv(&mut begin, 0);
        !matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
