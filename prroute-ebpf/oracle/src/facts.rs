//! What is known besides the packet: all of it may be anything.

use prroute_common::flow::{
    Flow, OTHER_IDLE, Origin, SEEN_REFRESH, TCP_REBIND_IDLE, UNCONFIRMED_IDLE,
};
use prroute_common::time::Ticks;
use prroute_ebpf::decide::{FlowEntry, Locality, UplinkRef};
use prroute_ebpf::wire::parse::protocol;

/// Bytes of an input before its frame.
pub const FACTS: usize = 40;

/// Times ago: around those after which something else is decided.
const IDLE: [Ticks; 8] = [
    0,
    1,
    SEEN_REFRESH,
    TCP_REBIND_IDLE,
    UNCONFIRMED_IDLE,
    UNCONFIRMED_IDLE + 1,
    OTHER_IDLE,
    OTHER_IDLE + 1,
];

#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub locality: Locality,
    pub exposed: bool,
    pub noted: bool,
    pub recorded_is_up: bool,
    pub forwarded: bool,
    pub client_port: bool,
    pub here: UplinkRef,
    /// Bytes of the frame in the linear part of the kernel's buffer.
    pub linear: usize,
    pub now: Ticks,
    pub flow: Flow,
    confirmed: bool,
    is_recorded: bool,
}

impl Facts {
    /// The facts at the beginning of an input, and the frame behind them.
    pub fn take(input: &[u8]) -> Option<(Self, &[u8])> {
        let (facts, frame) = input.split_first_chunk::<FACTS>()?;
        let [bits, uplink, owner, linear, n0, n1, n2, more, flow @ ..] = facts;
        let bit = |number: u32| bits >> number & 1 != 0;
        let locality = match more & 3 {
            0 => Locality::OwnedHere,
            1 => Locality::OwnedBy(u16::from(*owner)),
            2 => Locality::Shared,
            _ => Locality::NotLocal,
        };
        let facts = Self {
            locality,
            exposed: bit(0),
            noted: bit(1),
            recorded_is_up: bit(2),
            forwarded: bit(3),
            confirmed: bit(4),
            is_recorded: bit(5),
            client_port: bit(6),
            here: UplinkRef { id: u16::from(*uplink), generation: u16::from(more >> 2) },
            linear: usize::from(*linear),
            now: u32::from_le_bytes([*n0, *n1, *n2, 0]),
            flow: bytemuck::pod_read_unaligned(flow),
        };
        Some((facts, frame))
    }

    /// The entry that is found for a packet of this protocol: of TCP one that lives.
    pub fn known(&self, protocol: u8) -> Option<FlowEntry> {
        let known = FlowEntry::new(self.flow, self.confirmed, protocol, self.now);
        known.filter(|known| self.is_recorded && !(known.is_aged && protocol == protocol::TCP))
    }

    /// Facts of a flow that is bound to uplink `recorded`, seen from uplink `here`. `past` says how
    /// long ago packets came in and left, and whether any did.
    pub fn encode(
        here: u8,
        recorded: u8,
        origin: Origin,
        locality: u8,
        bits: u8,
        past: u8,
    ) -> [u8; FACTS] {
        const NOW: Ticks = 5000;
        let ago = |choice: u8| NOW - IDLE[usize::from(choice) % IDLE.len()];
        let (last_in, last_out) = (ago(past), ago(past >> 3));
        let mut flow = match origin {
            Origin::Inbound => Flow::inbound(recorded.into(), 1, last_in),
            Origin::Host => Flow::by_host(recorded.into(), 1, last_out),
        };
        if past >> 6 & 1 != 0 {
            flow = flow.with_last_in(last_in).with_last_out(last_out);
        }
        if past >> 7 == 0 {
            flow = flow.with_heard(1001).with_sent(1001);
        }
        if bits >> 7 != 0 {
            flow = flow.with_received(1001).with_local_fin();
        }
        let [n0, n1, n2, _] = NOW.to_le_bytes();
        let mut facts = [0; FACTS];
        facts[..8].copy_from_slice(&[bits, here, recorded, 64, n0, n1, n2, locality & 3 | 1 << 2]);
        facts[8..].copy_from_slice(bytemuck::bytes_of(&flow));
        facts
    }
}
