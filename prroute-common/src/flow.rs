//! Flows: the key on the wire, and what is remembered of it.

mod ages;
mod capacity;
mod change;
mod fragment;
mod key;

use bytemuck::{Pod, Zeroable};

use crate::time::{Ticks, since};

pub use ages::{
    ANSWER_TIME, CLOSED_IDLE, HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, ROUTER_IDLE, SEEN_REFRESH,
    TCP_IDLE, TCP_REBIND_IDLE, UNCONFIRMED_IDLE, is_over,
};
pub use capacity::{
    MAX_DEFAULT_FLOWS, MIN_FLOWS_PER_CPU, confirmed_entries, fragmented_packets,
    unconfirmed_entries,
};
pub use fragment::{FRAGMENT_IDLE, FragmentKey, FragmentVerdict};
pub use key::{FlowKey4, FlowKey6};

/// Who sent the first packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The remote end: replies are kept on the uplink.
    Inbound,
    /// This host, or a guest behind it: never moved.
    Host,
}

/// Value of the flow maps: four words, each valid on its own, because another CPU may recycle
/// the element between two reads.
///
/// ```text
///          63                          32 31                     0
///  times   +-----------------------------+-----------------------+
///          | last out                    | last in               |
///          +-------------------------+---+-------+---------------+
///          63                      16 15        8 7              0
///  origin  +-------------------------+-----------+---------------+
///          | router's MAC address    | uplink    | state         |
///          +-------------------------+---+-------+---------------+
///          63                          32 31                     0
///  local   +-----------------------------+-----------------------+
///          | sent: end of what left      | heard: acknowledged   |
///          +-------------+---------------+-----------------------+
///          63          48 47           32 31                     0
///  remote  +-------------+---------------+-----------------------+
///          | SYN's data  | generation    | received: its end     |
///          +-------------+---------------+-----------------------+
/// ```
///
/// The numbers are TCP's. A datagram flow that the host opened keeps in `heard` when it did. Two bits of
/// the state say one thing of a TCP connection that came in, and another one of all other flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    times: u64,
    origin: u64,
    local: u64,
    remote: u64,
}

const _: () = assert!(size_of::<Flow>() == 32);
const _: () = assert!(crate::uplink::MAX_UPLINKS <= 256, "an uplink id has eight bits here");

/// Bits of the state byte.
mod state {
    /// Origin: exactly one of the two is set in an entry that a program wrote.
    pub(super) const INBOUND: u64 = 1 << 0;
    pub(super) const HOST: u64 = 1 << 1;
    /// A packet left since the first one came in.
    pub(super) const ANSWERED: u64 = 1 << 2;
    /// `heard` holds an acknowledgement number.
    pub(super) const HEARD: u64 = 1 << 3;
    /// `sent` holds a sequence number.
    pub(super) const SENT: u64 = 1 << 4;
    /// `received` holds a sequence number.
    pub(super) const RECEIVED: u64 = 1 << 5;
    /// No socket of this host was there when its first packet came in.
    pub(super) const NO_SOCKET: u64 = 1 << 6;
    /// Of the host's own: a packet came in on the uplink that the first one left by.
    pub(super) const HEARD_HERE: u64 = 1 << 7;
    /// Of a TCP connection that came in: its remote end has sent a FIN. Of TCP no socket is looked for.
    pub(super) const REMOTE_FIN: u64 = NO_SOCKET;
    /// Likewise: this end has.
    pub(super) const LOCAL_FIN: u64 = HEARD_HERE;
}

const LOW: u64 = 0xffff_ffff;
const UPLINK_SHIFT: u32 = 8;
const ROUTER_SHIFT: u32 = 16;
const GENERATION_SHIFT: u32 = 32;
const SYN_DATA_SHIFT: u32 = 48;

impl Flow {
    #[inline(always)]
    const fn opened(state: u64, uplink: u16, generation: u16, times: u64) -> Self {
        Self {
            times,
            origin: state | (uplink as u64) << UPLINK_SHIFT,
            local: 0,
            remote: (generation as u64) << GENERATION_SHIFT,
        }
    }

    /// A flow whose first packet came in on an uplink.
    #[inline(always)]
    pub const fn inbound(uplink: u16, generation: u16, now: Ticks) -> Self {
        Self::opened(state::INBOUND, uplink, generation, now as u64)
    }

    /// A flow whose first packet left by an uplink.
    #[inline(always)]
    pub const fn by_host(uplink: u16, generation: u16, now: Ticks) -> Self {
        let opened = Self::opened(state::HOST, uplink, generation, (now as u64) << 32);
        Self { local: now as u64, ..opened }
    }

    /// `None` for an entry that no program of this layout wrote, and for one that was replaced.
    #[inline(always)]
    pub const fn origin(&self) -> Option<Origin> {
        match self.origin & (state::INBOUND | state::HOST) {
            state::INBOUND => Some(Origin::Inbound),
            state::HOST => Some(Origin::Host),
            _ => None,
        }
    }

    /// Uplink id; for [`Origin::Host`] the uplink the first packet left by.
    #[inline(always)]
    pub const fn uplink(&self) -> u16 {
        (self.origin >> UPLINK_SHIFT) as u16 & 0xff
    }

    /// Generation of that uplink when the flow was bound.
    #[inline(always)]
    pub const fn generation(&self) -> u16 {
        (self.remote >> GENERATION_SHIFT) as u16
    }

    /// Last packet in, on the recorded uplink; 0 for never.
    #[inline(always)]
    pub const fn last_in(&self) -> Ticks {
        self.times as Ticks
    }

    /// Last packet out; 0 for never.
    #[inline(always)]
    pub const fn last_out(&self) -> Ticks {
        (self.times >> 32) as Ticks
    }

    /// When the host opened its datagram flow.
    #[inline(always)]
    pub const fn opened_at(&self) -> Ticks {
        self.local as Ticks
    }

    /// Ticks since the last packet either way.
    #[inline(always)]
    pub const fn idle(&self, now: Ticks) -> Ticks {
        let (last_in, last_out) = (self.last_in(), self.last_out());
        let (since_in, since_out) = (since(now, last_in), since(now, last_out));
        if last_out == 0 || (last_in != 0 && since_in < since_out) { since_in } else { since_out }
    }

    #[inline(always)]
    pub const fn is_answered(&self) -> bool {
        self.origin & state::ANSWERED != 0
    }

    /// Whether no socket of this host was there when its first packet came in: it was for a host
    /// behind this one, or for nobody.
    #[inline(always)]
    pub const fn has_no_socket(&self) -> bool {
        self.origin & state::NO_SOCKET != 0
    }

    /// No socket of this host has it, as far as is known, and nobody has answered.
    #[inline(always)]
    pub const fn is_for_nobody(&self) -> bool {
        self.has_no_socket() && !self.is_answered()
    }

    /// Of a TCP connection that came in: whether this end has sent a FIN, or the connection was reset.
    #[inline(always)]
    pub const fn has_local_fin(&self) -> bool {
        self.origin & state::LOCAL_FIN != 0
    }

    /// Whether the host has answered, and has not closed its end of the TCP connection that came in.
    #[inline(always)]
    pub const fn is_open_and_answered(&self) -> bool {
        self.origin & (state::ANSWERED | state::LOCAL_FIN) == state::ANSWERED
    }

    /// Of a TCP connection that came in: whether both ends have sent a FIN, or it was reset.
    #[inline(always)]
    pub const fn is_closed(&self) -> bool {
        const CLOSED: u64 = state::INBOUND | state::REMOTE_FIN | state::LOCAL_FIN;
        self.origin & CLOSED == CLOSED
    }

    /// Whether the host's own flow was answered on the uplink that its first packet left by.
    #[inline(always)]
    pub const fn is_heard_here(&self) -> bool {
        self.origin & state::HEARD_HERE != 0
    }

    /// The highest acknowledgement number heard from the recorded uplink.
    #[inline(always)]
    pub const fn heard(&self) -> Option<u32> {
        if self.origin & state::HEARD != 0 { Some(self.local as u32) } else { None }
    }

    /// The sequence number behind what the host has sent.
    #[inline(always)]
    pub const fn sent(&self) -> Option<u32> {
        if self.origin & state::SENT != 0 { Some((self.local >> 32) as u32) } else { None }
    }

    /// The sequence number behind what the host has received, by its own acknowledgements.
    #[inline(always)]
    pub const fn received(&self) -> Option<u32> {
        if self.origin & state::RECEIVED != 0 { Some(self.remote as u32) } else { None }
    }

    /// How many bytes of data came with the SYN (TCP Fast Open).
    #[inline(always)]
    pub const fn syn_data(&self) -> u16 {
        (self.remote >> SYN_DATA_SHIFT) as u16
    }

    /// The router the last packet came from, in the low 48 bits; 0 when it was not noted.
    #[inline(always)]
    pub const fn router(&self) -> u64 {
        self.origin >> ROUTER_SHIFT
    }
}
