//! Wildcard UDP servers: which of the host's addresses a client asked.
//!
//! A server that is bound to no address and sends without naming a source answers from the
//! address that routing prefers. The ingress program notes which address was asked, the socket
//! programs look it up when the answer is sent.

use crate::address::{Address4, Address6};
use crate::time::Ticks;

/// Who asked, and at which of the host's ports: all that a socket knows of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Peer<A> {
    pub remote: A,
    pub remote_port: [u8; 2],
    pub local_port: [u8; 2],
    /// Zero: without it the compiler would leave bytes of a key unwritten.
    pub pad: [u8; 4],
}

const _: () = assert!(size_of::<Peer<Address4>>() == 12);
const _: () = assert!(size_of::<Peer<Address6>>() == 24);

/// Which address a peer asked. Written by ingress and sockets without a lock: what is torn is
/// an address that is not local, which the socket programs check, or a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UdpOrigin<A> {
    /// Where answers come from.
    pub address: A,
    /// Another address that was asked meanwhile; see [`DUE`].
    pub elsewhere: A,
    /// The last reply, 0 when there was none.
    pub last_reply: Ticks,
    /// The last request to `address`.
    pub last_request: Ticks,
    /// Bits of [`CONFIRMED`] and [`DUE`], and above [`DUE_SHIFT`] when `elsewhere` was asked. A whole word, like every pair of fields before it: the
    /// compiler writes two neighbours at once, which the verifier allows at a word's alignment.
    pub flags: u64,
}

const _: () = assert!(size_of::<UdpOrigin<Address4>>() == 24);
const _: () = assert!(size_of::<UdpOrigin<Address6>>() == 48);

/// A peer that the host has sent to without being asked: its requests change no source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HostPeer {
    /// When the host sent first, or first again after [`crate::flow::OTHER_IDLE`].
    pub opened_at: Ticks,
    /// When it sent last.
    pub last_sent: Ticks,
}

const _: () = assert!(size_of::<HostPeer>() == 8);

/// Peers per family that the host has sent to, for a number of flows: only its own sockets write
/// them.
pub const fn host_peers(flows: u32) -> u32 {
    flows / 16
}

/// The peer asked `address` again after an answer: another address takes over only when this
/// one is idle.
pub const CONFIRMED: u64 = 1 << 0;

/// One answer is due from `elsewhere`, soon after that was asked.
pub const DUE: u64 = 1 << 1;

/// Where the ticks begin at which it was.
pub const DUE_SHIFT: u32 = 32;

impl<A> UdpOrigin<A> {
    /// An answer is due from `elsewhere`, which was asked then.
    #[inline(always)]
    pub const fn set_due(&mut self, then: Ticks) {
        self.flags = self.flags & CONFIRMED | DUE | (then as u64) << DUE_SHIFT;
    }

    #[inline(always)]
    pub const fn clear_due(&mut self) {
        self.flags &= CONFIRMED;
    }

    /// When `elsewhere` was asked, while an answer is due from there.
    #[inline(always)]
    pub const fn due_since(&self) -> Option<Ticks> {
        if self.flags & DUE != 0 { Some((self.flags >> DUE_SHIFT) as Ticks) } else { None }
    }
}

/// Entries per family for a number of flows: most flows are not UDP.
pub const fn entries(flows: u32) -> u32 {
    flows / 8
}

/// Words of the bit map of local ports from which a socket answered without naming a source.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// What the socket programs counted, and for what they are there. The numbers are map indexes:
/// append, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SocketReason {
    SourceSet = 0,
    ConnectedBack = 1,
    AddressGone = 2,
    TableFull = 3,
}

impl SocketReason {
    pub const ALL: [Self; 4] =
        [Self::SourceSet, Self::ConnectedBack, Self::AddressGone, Self::TableFull];

    /// The name in `status --json` and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceSet => "source_set",
            Self::ConnectedBack => "connected_back",
            Self::AddressGone => "address_gone",
            Self::TableFull => "table_full",
        }
    }

    /// One sentence for an administrator.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::SourceSet => "A datagram got the address that was asked as its source.",
            Self::ConnectedBack => {
                "A wildcard UDP server connected to its client: it answers from the address that \
                 routing prefers. Bind it to an address if that is not the one that was asked."
            }
            Self::AddressGone => "Left to routing: the address that was asked is gone.",
            Self::TableFull => "Not noted which address was asked: the table had no room.",
        }
    }
}

/// Slots of the counters.
pub const SOCKET_REASON_SLOTS: u32 = 8;

const _: () = {
    assert!(SocketReason::ALL.len() <= SOCKET_REASON_SLOTS as usize);
    let mut i = 0;
    while i < SocketReason::ALL.len() {
        assert!(SocketReason::ALL[i] as usize == i, "reasons are numbered in order");
        i += 1;
    }
};
