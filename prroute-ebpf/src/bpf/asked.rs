//! Which address a peer asked: noted at ingress, looked up by the socket programs.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use prroute_common::address::{Address4, Address6, LocalAddress};
use prroute_common::flow::Origin;
use prroute_common::source::{
    Asked, DEFAULT_ENTRIES, PORT_WORDS, Peer, SOCKET_REASON_SLOTS, SocketReason,
};
use prroute_common::time::Ticks;
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::parse::{Kind, Segment, protocol};
use prroute_ebpf::source;
use prroute_ebpf::verdict::Locality;

use super::lookup::Tables;
use super::{clock, maps};

#[map]
static ASKED4: LruHashMap<Peer<Address4>, Asked<Address4>> =
    LruHashMap::with_max_entries(DEFAULT_ENTRIES, 0);

#[map]
static ASKED6: LruHashMap<Peer<Address6>, Asked<Address6>> =
    LruHashMap::with_max_entries(DEFAULT_ENTRIES, 0);

/// A bit for each local port from which a socket of ours sent without a source: only questions
/// to such a port are looked at after a conversation's first. Bits are never cleared; one too
/// many costs a lookup.
#[map]
static WILDCARD_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

#[map]
static SOCKET_COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(SOCKET_REASON_SLOTS, 0);

/// The cookie of the network namespace whose sockets are helped; 0 when none are. The verifier
/// folds it.
#[unsafe(no_mangle)]
static NETNS_COOKIE: Global<u64> = Global::new(0);

#[inline(always)]
pub(super) fn netns_cookie() -> u64 {
    NETNS_COOKIE.load()
}

/// A family with its tables.
pub(super) trait AskedTables: Tables {
    fn asked() -> &'static LruHashMap<Peer<Self::Address>, Asked<Self::Address>>;
    fn locals() -> &'static HashMap<Self::Address, LocalAddress>;
}

impl AskedTables for Ipv4 {
    #[inline(always)]
    fn asked() -> &'static LruHashMap<Peer<Address4>, Asked<Address4>> {
        &ASKED4
    }

    #[inline(always)]
    fn locals() -> &'static HashMap<Address4, LocalAddress> {
        &maps::ADDRESSES4
    }
}

impl AskedTables for Ipv6 {
    #[inline(always)]
    fn asked() -> &'static LruHashMap<Peer<Address6>, Asked<Address6>> {
        &ASKED6
    }

    #[inline(always)]
    fn locals() -> &'static HashMap<Address6, LocalAddress> {
        &maps::ADDRESSES6
    }
}

/// Whether a further question of a conversation, to this port, has to be noted.
#[inline(always)]
pub(super) fn matters(port: [u8; 2]) -> bool {
    netns_cookie() != 0 && is_wildcard(port)
}

/// Notes a packet that came in. `known` is who opened its flow, `None` when this packet does.
#[inline(always)]
pub(super) fn question<F: AskedTables>(
    segment: &Segment<F::Address>,
    destination: Locality,
    known: Option<Origin>,
    now: Ticks,
) {
    let is_udp = segment.protocol == protocol::UDP && segment.kind == Kind::Datagram;
    if netns_cookie() == 0 || !is_udp || destination == Locality::NotLocal {
        return;
    }
    match known {
        Some(Origin::Host) => return,
        Some(Origin::Inbound) if !is_wildcard(segment.destination_port) => return,
        _ => {}
    }
    let peer = Peer {
        remote: segment.source,
        remote_port: segment.source_port,
        local_port: segment.destination_port,
        pad: [0; 4],
    };
    note::<F>(&Aligned(peer), &segment.destination, now);
}

/// The compiler writes two neighbours at once, which the verifier allows at a word's alignment.
#[repr(align(8))]
struct Aligned<T>(T);

/// A function of its own in the object: the ingress program has no stack left for it.
#[inline(never)]
fn note<F: AskedTables>(
    Aligned(peer): &Aligned<Peer<F::Address>>,
    address: &F::Address,
    now: Ticks,
) {
    match F::asked().get_ptr_mut(peer) {
        // SAFETY: the pointer is to a live map value. Another CPU may write or recycle it
        // meanwhile; every bit pattern is valid, and the socket programs check the address.
        Some(entry) => source::question::<F>(unsafe { &mut *entry }, *address, now),
        None => {
            if F::asked().insert(peer, source::first(*address, now), 0).is_err() {
                count(SocketReason::TableFull);
            }
        }
    }
}

/// The source of a datagram to `peer` from a socket that has none; `None` when the peer did not
/// ask, or when what it asked is no address of this host any more.
#[inline(always)]
pub(super) fn answer<F: AskedTables>(peer: Peer<F::Address>) -> Option<F::Address> {
    note_wildcard(peer.local_port);
    let entry = F::asked().get_ptr_mut(peer)?;
    // SAFETY: as in `note`.
    let address = source::answer(unsafe { &mut *entry }, clock::now())?;
    if F::locals().get_ptr(address).is_none() && !F::is_in_local_prefix(&address) {
        if F::asked().remove(peer).is_ok() {
            count(SocketReason::AddressGone);
        }
        return None;
    }
    Some(address)
}

/// Whether `peer` asked lately.
#[inline(always)]
pub(super) fn has_asked<F: AskedTables>(peer: Peer<F::Address>) -> bool {
    match F::asked().get_ptr(peer) {
        // SAFETY: as in `note`.
        Some(entry) => !source::is_over(unsafe { &*entry }, clock::now()),
        None => false,
    }
}

#[inline(always)]
fn port_bit(port: [u8; 2]) -> (u32, u64) {
    let port = u16::from_be_bytes(port);
    (u32::from(port >> 6), 1 << (port & 63))
}

#[inline(always)]
fn is_wildcard(port: [u8; 2]) -> bool {
    let (word, bit) = port_bit(port);
    WILDCARD_PORTS.get(word).is_some_and(|ports| *ports & bit != 0)
}

#[inline(always)]
fn note_wildcard(port: [u8; 2]) {
    let (word, bit) = port_bit(port);
    let Some(ports) = WILDCARD_PORTS.get_ptr_mut(word) else { return };
    // SAFETY: the pointer is to a live, aligned word. A bit that another CPU's write undoes is
    // set again by the next datagram.
    let ports = unsafe { &mut *ports };
    if *ports & bit == 0 {
        *ports |= bit;
    }
}

/// Counts on this CPU. A program in process context may be preempted: a lost increment is only
/// a wrong count.
#[inline(always)]
pub(super) fn count(reason: SocketReason) {
    if let Some(counter) = SOCKET_COUNTERS.get_ptr_mut(reason as u32) {
        // SAFETY: the pointer is to this CPU's own element, a live and aligned word.
        unsafe { *counter += 1 };
    }
}
