//! Which address a peer asked: noted at ingress, looked up by the socket programs.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use prroute_common::address::{Address4, Address6, LocalAddress};
use prroute_common::flow::MAX_DEFAULT_FLOWS;
use prroute_common::time::Ticks;
use prroute_common::udp_origin::{
    self, HostPeer, PORT_WORDS, Peer, SOCKET_REASON_SLOTS, SocketReason, UdpOrigin,
};
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::parse::Segment;
use prroute_ebpf::source;

use super::lookup::Tables;
use super::{clock, maps, ports};

#[map]
static UDP_ORIGIN4: LruHashMap<Peer<Address4>, UdpOrigin<Address4>> =
    LruHashMap::with_max_entries(udp_origin::entries(MAX_DEFAULT_FLOWS), 0);

#[map]
static UDP_ORIGIN6: LruHashMap<Peer<Address6>, UdpOrigin<Address6>> =
    LruHashMap::with_max_entries(udp_origin::entries(MAX_DEFAULT_FLOWS), 0);

/// Peers to whom a socket of ours has sent without being asked. Only sockets write here: an entry is
/// forgotten when the host itself sends to many others, not by what comes in.
#[map]
static HOST_PEERS4: LruHashMap<Peer<Address4>, HostPeer> =
    LruHashMap::with_max_entries(udp_origin::host_peers(MAX_DEFAULT_FLOWS), 0);

#[map]
static HOST_PEERS6: LruHashMap<Peer<Address6>, HostPeer> =
    LruHashMap::with_max_entries(udp_origin::host_peers(MAX_DEFAULT_FLOWS), 0);

/// A bit for each local port from which a socket of ours was told its source: only questions
/// to such a port are looked at after a conversation's first. A local user alone can set none: it
/// takes a question from outside. Bits are never cleared; one too many costs a lookup.
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
    fn asked() -> &'static LruHashMap<Peer<Self::Address>, UdpOrigin<Self::Address>>;
    fn host_peers() -> &'static LruHashMap<Peer<Self::Address>, HostPeer>;
    fn locals() -> &'static HashMap<Self::Address, LocalAddress>;
}

impl AskedTables for Ipv4 {
    #[inline(always)]
    fn asked() -> &'static LruHashMap<Peer<Address4>, UdpOrigin<Address4>> {
        &UDP_ORIGIN4
    }

    #[inline(always)]
    fn host_peers() -> &'static LruHashMap<Peer<Address4>, HostPeer> {
        &HOST_PEERS4
    }

    #[inline(always)]
    fn locals() -> &'static HashMap<Address4, LocalAddress> {
        &maps::ADDRESSES4
    }
}

impl AskedTables for Ipv6 {
    #[inline(always)]
    fn asked() -> &'static LruHashMap<Peer<Address6>, UdpOrigin<Address6>> {
        &UDP_ORIGIN6
    }

    #[inline(always)]
    fn host_peers() -> &'static LruHashMap<Peer<Address6>, HostPeer> {
        &HOST_PEERS6
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

/// Notes a datagram that came in, and that a socket without an address gets.
#[inline(always)]
pub(super) fn question<F: AskedTables>(segment: &Segment<F::Address>, now: Ticks) {
    if netns_cookie() == 0 {
        return;
    }
    let peer = Peer {
        remote: segment.source,
        remote_port: segment.source_port,
        local_port: segment.destination_port,
        pad: [0; 4],
    };
    note::<F>(&Aligned(peer), &segment.destination, now);
}

/// Whether the host has sent to the peer of a datagram that leaves without being asked.
#[inline(always)]
pub(super) fn is_hosts_peer<F: AskedTables>(segment: &Segment<F::Address>, now: Ticks) -> bool {
    let peer = Peer {
        remote: segment.destination,
        remote_port: segment.destination_port,
        local_port: segment.source_port,
        pad: [0; 4],
    };
    netns_cookie() != 0 && is_hosts::<F>(&Aligned(peer), now)
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

/// Whether `peer` is one that the host speaks to without being asked. A function of its own in the
/// object: the programs have no stack left for it.
#[inline(never)]
fn is_hosts<F: AskedTables>(Aligned(peer): &Aligned<Peer<F::Address>>, now: Ticks) -> bool {
    // SAFETY: as in `note`; the value is two words, each valid on its own.
    let Some(host) = F::host_peers().get_ptr(peer).map(|host| unsafe { *host }) else {
        return false;
    };
    source::is_hosts(&host, ports::is_client(peer.local_port), now)
}

/// The source of a datagram to `peer` from a socket that has none; `None` when the peer did not
/// ask, or when what it asked is no address of this host any more.
#[inline(always)]
pub(super) fn answer<F: AskedTables>(peer: Peer<F::Address>) -> Option<F::Address> {
    let (peer, now) = (Aligned(peer), clock::now());
    let host = F::host_peers().get_ptr_mut(&peer.0);
    if let Some(host) = host {
        // SAFETY: as in `is_hosts`.
        let host = unsafe { &mut *host };
        if source::is_hosts(host, ports::is_client(peer.0.local_port), now) {
            source::sent_unasked(host, now);
            return None;
        }
    }
    let answer = asked_address::<F>(&peer.0, now);
    match (answer, host) {
        (Answer::From(_), None) | (Answer::Gone, _) => {}
        // What the host sent first is its peer's by now.
        (Answer::From(_), Some(_)) => F::host_peers().remove(&peer.0).unwrap_or_default(),
        // SAFETY: as in `is_hosts`.
        (Answer::Unasked, Some(host)) => source::sent_unasked(unsafe { &mut *host }, now),
        (Answer::Unasked, None) => note_host_peer::<F>(&peer, now),
    }
    let Answer::From(address) = answer else { return None };
    note_wildcard(peer.0.local_port);
    Some(address)
}

/// What was found for a datagram from a socket without an address.
#[derive(Clone, Copy)]
enum Answer<A> {
    From(A),
    /// The address that was asked is none of this host's any more.
    Gone,
    Unasked,
}

#[inline(always)]
fn asked_address<F: AskedTables>(peer: &Peer<F::Address>, now: Ticks) -> Answer<F::Address> {
    let Some(entry) = F::asked().get_ptr_mut(peer) else { return Answer::Unasked };
    let from_client_port = ports::is_client(peer.local_port);
    // SAFETY: as in `note`.
    let Some(address) = source::answer(unsafe { &mut *entry }, from_client_port, now) else {
        return Answer::Unasked;
    };
    if F::locals().get_ptr(address).is_none() && !F::is_in_local_prefix(&address) {
        if F::asked().remove(peer).is_ok() {
            count(SocketReason::AddressGone);
        }
        return Answer::Gone;
    }
    Answer::From(address)
}

#[inline(never)]
fn note_host_peer<F: AskedTables>(Aligned(peer): &Aligned<Peer<F::Address>>, now: Ticks) {
    let host = HostPeer { opened_at: now, last_sent: now };
    if F::host_peers().insert(peer, host, 0).is_err() {
        count(SocketReason::TableFull);
    }
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
