//! Flows: the key on the wire, and what is remembered of it.

use bytemuck::{Pod, Zeroable};

use crate::address::{Address4, Address6};
use crate::time::{Ticks, seconds, since};

/// A flow of IPv4, as seen on the wire of the uplinks.
///
/// ICMP echo uses its identifier as `local_port` and 0 as `remote_port`: only flows in which
/// the host is asked have such a key. Protocols without ports use 0 for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey4 {
    pub local: Address4,
    pub remote: Address4,
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey4>() == 16);

/// A flow of IPv6; see [`FlowKey4`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey6 {
    pub local: Address6,
    pub remote: Address6,
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey6>() == 40);

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

    #[inline(always)]
    #[must_use]
    pub const fn with_heard_here(mut self) -> Self {
        self.origin |= state::HEARD_HERE;
        self
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

    #[inline(always)]
    #[must_use]
    pub const fn with_last_in(mut self, now: Ticks) -> Self {
        self.times = self.times & !LOW | now as u64;
        self
    }

    /// Also notes that the flow is answered.
    #[inline(always)]
    #[must_use]
    pub const fn with_last_out(mut self, now: Ticks) -> Self {
        self.times = self.times & LOW | (now as u64) << 32;
        self.origin |= state::ANSWERED;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_heard(mut self, acknowledgement: u32) -> Self {
        self.origin |= state::HEARD;
        self.local = self.local & !LOW | acknowledgement as u64;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_sent(mut self, end: u32) -> Self {
        self.origin |= state::SENT;
        self.local = self.local & LOW | (end as u64) << 32;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_received(mut self, end: u32) -> Self {
        self.origin |= state::RECEIVED;
        self.remote = self.remote & !LOW | end as u64;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_syn_data(mut self, bytes: u16) -> Self {
        self.remote = self.remote << 16 >> 16 | (bytes as u64) << SYN_DATA_SHIFT;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_router(mut self, router: u64) -> Self {
        self.origin = self.origin & 0xffff | router << ROUTER_SHIFT;
        self
    }

    /// Whether a socket of this host was there.
    #[inline(always)]
    #[must_use]
    pub const fn with_socket(mut self, is_there: bool) -> Self {
        self.origin &= !state::NO_SOCKET;
        if !is_there {
            self.origin |= state::NO_SOCKET;
        }
        self
    }

    /// The remote end of a TCP connection that came in has sent a FIN.
    #[inline(always)]
    #[must_use]
    pub const fn with_remote_fin(mut self) -> Self {
        self.origin |= state::REMOTE_FIN;
        self
    }

    /// This end has.
    #[inline(always)]
    #[must_use]
    pub const fn with_local_fin(mut self) -> Self {
        self.origin |= state::LOCAL_FIN;
        self
    }

    /// One of them has reset it.
    #[inline(always)]
    #[must_use]
    pub const fn with_reset(self) -> Self {
        self.with_remote_fin().with_local_fin()
    }

    /// Neither end has: a TCP connection that came in goes on.
    #[inline(always)]
    #[must_use]
    pub const fn without_fins(mut self) -> Self {
        self.origin &= !(state::REMOTE_FIN | state::LOCAL_FIN);
        self
    }

    /// The TCP flow without anything known of its sequence numbers, and of its end.
    #[inline(always)]
    #[must_use]
    pub const fn without_numbers(self) -> Self {
        let mut flow = self.without_fins();
        flow.origin &= !(state::HEARD | state::SENT | state::RECEIVED);
        flow.local = 0;
        flow.remote &= 0xffff << GENERATION_SHIFT;
        flow
    }

    /// With the stamps of another one.
    #[inline(always)]
    #[must_use]
    pub const fn with_times_of(self, other: &Self) -> Self {
        Self { times: other.times, ..self }
    }

    /// The words in their order, each valid on its own.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 4] {
        [self.times, self.origin, self.local, self.remote]
    }

    /// The TCP flow on another uplink; what is known of its sequence numbers, and of its end, stays.
    #[inline(always)]
    #[must_use]
    pub const fn rebound(self, uplink: u16, generation: u16, now: Ticks) -> Self {
        let fresh = Self::inbound(uplink, generation, now);
        const NUMBERS: u64 = state::HEARD | state::SENT | state::RECEIVED;
        const FINS: u64 = state::REMOTE_FIN | state::LOCAL_FIN;
        let known = self.origin & (state::ANSWERED | NUMBERS | FINS);
        Self {
            times: fresh.times | self.times & !LOW,
            origin: fresh.origin | known,
            local: self.local,
            remote: fresh.remote | self.remote & (LOW | 0xffff << SYN_DATA_SHIFT),
        }
    }
}

/// A stamp is written at most this often: a store dirties the cache line of every CPU.
pub const SEEN_REFRESH: Ticks = 2;

/// A TCP flow without packets from its uplink for this long may be bound to another one.
pub const TCP_REBIND_IDLE: Ticks = seconds(3);

/// Likewise for every other protocol.
pub const OTHER_REBIND_IDLE: Ticks = seconds(30);

/// A datagram flow without packets from its router for this long may get another one on the link.
pub const ROUTER_IDLE: Ticks = seconds(3);

/// A confirmed entry without packets for this long is as good as none (TCP). The kernel's first
/// keepalive comes after 7,200 s and the last of nine 675 s later (tcp(7)), on a host or on its
/// client; RFC 5382 asks for at least 2 h 4 min.
pub const TCP_IDLE: Ticks = seconds(2 * 3600 + 30 * 60);

/// Likewise of a TCP connection that came in and has closed. What still leaves of it are a FIN that is sent
/// again, after 120 s at most (`TCP_RTO_MAX`, RFC 6298), and the acknowledgements of the other end's, which
/// does the same, for as long as its socket is there (60 s on Linux, 240 s in RFC 9293): no pause is longer
/// than that, but for the way.
pub const CLOSED_IDLE: Ticks = seconds(130);

/// Likewise for every other protocol, and for what the host opened.
pub const OTHER_IDLE: Ticks = seconds(180);

/// So young a datagram flow of the host's own that nobody answers may yet turn out to be its peer's.
pub const HOST_FIRST: Ticks = OTHER_IDLE;

/// A datagram that comes in so soon after one of the host's answers it, wherever it comes in.
pub const ANSWER_TIME: Ticks = seconds(1);

/// An unconfirmed inbound entry without packets for this long is as good as none.
pub const UNCONFIRMED_IDLE: Ticks = seconds(10);

/// TCP (IANA), which has idle limits of its own.
const TCP: u8 = 6;

/// Whether an entry is too old to count, or was written by no program.
#[inline(always)]
pub const fn is_over(flow: &Flow, confirmed: bool, protocol: u8, now: Ticks) -> bool {
    let limit = match flow.origin() {
        None => return true,
        Some(Origin::Inbound) if !confirmed => UNCONFIRMED_IDLE,
        Some(Origin::Inbound) if protocol == TCP && flow.is_closed() => CLOSED_IDLE,
        Some(Origin::Inbound) if protocol == TCP => TCP_IDLE,
        Some(Origin::Host) if confirmed && protocol == TCP => TCP_IDLE,
        _ => OTHER_IDLE,
    };
    flow.idle(now) > limit
}

/// Flows per family when the configuration names no number, at most: half of them confirmed TCP.
pub const MAX_DEFAULT_FLOWS: u32 = 262_144;

/// Confirmed flows are of TCP, or of what proves nothing: a table for each, of half the number.
pub const fn confirmed_entries(flows: u32) -> u32 {
    flows / 2
}

/// Unconfirmed flows, for a number of flows.
pub const fn unconfirmed_entries(flows: u32) -> u32 {
    flows / 4
}

/// Packets in fragments, of both families, whose way is remembered, for a number of flows.
pub const fn fragmented_packets(flows: u32) -> u32 {
    flows / 32
}

/// Before 6.16 a small LRU map evicts while nearly empty (d4adf1c9ee77): never fewer entries
/// than this per possible CPU.
pub const MIN_FLOWS_PER_CPU: u32 = 2048;

/// The first fragment of a packet that is on its way out, for those that follow. The
/// identification is 16 bits in IPv4, 32 in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FragmentKey {
    /// An IPv4 address is the first word.
    pub source: Address6,
    pub destination: Address6,
    pub identification: u32,
    /// IPv4 tells identifications apart by protocol; 0 for IPv6.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// What was decided for the first fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FragmentVerdict {
    /// Uplink id that the fragments are redirected to; 0 when they go the kernel's way.
    pub uplink: u16,
    pub generation: u16,
    pub decided_at: Ticks,
    /// The router in last-hop mode, as in [`Flow::router`].
    pub router: u64,
}

const _: () = assert!(size_of::<FragmentVerdict>() == 16);

/// Fragments of one packet leave together; an older decision is another packet's.
pub const FRAGMENT_IDLE: Ticks = seconds(2);
