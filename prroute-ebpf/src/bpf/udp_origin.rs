//! The original destination of UDP requests: recorded at ingress, looked up by the socket programs.

use aya_ebpf::Global;
use prroute_common::time::Ticks;
use prroute_common::udp_origin::{HostPeer, Peer, SocketReason};
use prroute_ebpf::decide::udp_origin;
use prroute_ebpf::wire::Wire;
use prroute_ebpf::wire::fast_headers::FastHeaders;
use prroute_ebpf::wire::parse::protocol;

use super::frame::Frame;
use super::maps::{Maps, SOCKET_COUNTERS, WILDCARD_PORTS, by_family};
use super::{clock, ports};

/// The cookie of the network namespace whose sockets are helped; 0 when none are. The verifier
/// folds it.
#[unsafe(no_mangle)]
static NETNS_COOKIE: Global<u64> = Global::new(0);

#[inline(always)]
pub(super) fn netns_cookie() -> u64 {
    NETNS_COOKIE.load()
}

/// Whether a further request of a conversation, to this port, has to be recorded.
#[inline(always)]
pub(super) fn is_recorded(port: [u8; 2]) -> bool {
    netns_cookie() != 0 && is_wildcard(port)
}

/// Whether a further request changes nothing of what is recorded.
#[inline(always)]
pub(super) fn is_settled<F: Maps>(headers: &FastHeaders<F::Address>, now: Ticks) -> bool {
    if headers.protocol != protocol::UDP || !is_recorded(headers.destination_port()) {
        return true;
    }
    let peer = Aligned(peer(headers.source, headers.source_port(), headers.destination_port()));
    let entry = F::udp_origin().get_ptr(&peer.0);
    // SAFETY: as in `record`.
    entry.is_some_and(|entry| unsafe { udp_origin::is_settled(&*entry, &headers.destination, now) })
}

/// Records the datagram in the frame, which came in, and which a socket without an address gets.
#[inline(always)]
pub(super) fn record_request(frame: &Frame, now: Ticks) {
    if netns_cookie() == 0 {
        return;
    }
    let segment = &frame.segment;
    let (remote_port, local_port) = (segment.source_port, segment.destination_port);
    by_family!(frame.family, F => {
        let peer = peer(F::narrow(&segment.source), remote_port, local_port);
        record::<F>(&Aligned(peer), &F::narrow(&segment.destination), now);
    });
}

/// Whether the host has sent to the peer of the datagram in the frame, which leaves, without being
/// asked.
#[inline(always)]
pub(super) fn is_hosts_peer(frame: &Frame, now: Ticks) -> bool {
    let segment = &frame.segment;
    let (remote_port, local_port) = (segment.destination_port, segment.source_port);
    netns_cookie() != 0
        && by_family!(frame.family, F => {
            let peer = peer(F::narrow(&segment.destination), remote_port, local_port);
            is_hosts::<F>(&Aligned(peer), now)
        })
}

#[inline(always)]
const fn peer<A>(remote: A, remote_port: [u8; 2], local_port: [u8; 2]) -> Peer<A> {
    Peer { remote, remote_port, local_port, pad: [0; 4] }
}

/// The compiler writes two neighbours at once, which the verifier allows at a word's alignment.
#[repr(align(8))]
struct Aligned<T>(T);

/// A function of its own in the object: the ingress program has no stack left for it.
#[inline(never)]
fn record<F: Maps>(Aligned(peer): &Aligned<Peer<F::Address>>, address: &F::Address, now: Ticks) {
    match F::udp_origin().get_ptr_mut(peer) {
        // SAFETY: the pointer is to a live map value. Another CPU may write or recycle it
        // meanwhile; every bit pattern is valid, and the socket programs check the address.
        Some(entry) => udp_origin::record_request::<F>(unsafe { &mut *entry }, *address, now),
        None => {
            let first = udp_origin::first_request(*address, now);
            if F::udp_origin().insert(peer, first, 0).is_err() {
                count(SocketReason::TableFull);
            }
        }
    }
}

/// Whether `peer` is one that the host speaks to without being asked. A function of its own in the
/// object: the programs have no stack left for it.
#[inline(never)]
fn is_hosts<F: Maps>(Aligned(peer): &Aligned<Peer<F::Address>>, now: Ticks) -> bool {
    // SAFETY: as in `record`; the value is two words, each valid on its own.
    let Some(host) = F::host_peers().get_ptr(peer).map(|host| unsafe { *host }) else {
        return false;
    };
    udp_origin::is_hosts(&host, ports::is_client(peer.local_port), now)
}

/// The source of a datagram to `peer` from a socket that has none; `None` when the peer did not
/// ask, or when what it asked is no address of this host any more.
#[inline(always)]
pub(super) fn source_for_reply<F: Maps>(peer: Peer<F::Address>) -> Option<F::Address> {
    let (peer, now) = (Aligned(peer), clock::now());
    let host = F::host_peers().get_ptr_mut(&peer.0);
    if let Some(host) = host {
        // SAFETY: as in `is_hosts`.
        let host = unsafe { &mut *host };
        if udp_origin::is_hosts(host, ports::is_client(peer.0.local_port), now) {
            udp_origin::sent_unasked(host, now);
            return None;
        }
    }
    let asked = asked_address::<F>(&peer.0, now);
    match (asked, host) {
        (Asked::Address(_), None) | (Asked::AddressGone, _) => {}
        // What the host sent first is its peer's by now.
        (Asked::Address(_), Some(_)) => F::host_peers().remove(&peer.0).unwrap_or_default(),
        // SAFETY: as in `is_hosts`.
        (Asked::Nothing, Some(host)) => udp_origin::sent_unasked(unsafe { &mut *host }, now),
        (Asked::Nothing, None) => record_host_peer::<F>(&peer, now),
    }
    let Asked::Address(address) = asked else { return None };
    set_wildcard(peer.0.local_port);
    Some(address)
}

/// What the peer of a socket without an address has asked.
#[derive(Clone, Copy)]
enum Asked<A> {
    Address(A),
    /// An address that is none of this host's any more.
    AddressGone,
    Nothing,
}

#[inline(always)]
fn asked_address<F: Maps>(peer: &Peer<F::Address>, now: Ticks) -> Asked<F::Address> {
    let Some(entry) = F::udp_origin().get_ptr_mut(peer) else { return Asked::Nothing };
    let from_client_port = ports::is_client(peer.local_port);
    // SAFETY: as in `record`.
    let source = udp_origin::source_for_reply(unsafe { &mut *entry }, from_client_port, now);
    let Some(address) = source else { return Asked::Nothing };
    if F::addresses().get_ptr(address).is_none() && !F::is_in_local_prefix(&address) {
        if F::udp_origin().remove(peer).is_ok() {
            count(SocketReason::AddressGone);
        }
        return Asked::AddressGone;
    }
    Asked::Address(address)
}

#[inline(never)]
fn record_host_peer<F: Maps>(Aligned(peer): &Aligned<Peer<F::Address>>, now: Ticks) {
    let host = HostPeer { opened_at: now, last_sent: now };
    if F::host_peers().insert(peer, host, 0).is_err() {
        count(SocketReason::TableFull);
    }
}

/// Whether `peer` asked lately.
#[inline(always)]
pub(super) fn has_asked<F: Maps>(peer: Peer<F::Address>) -> bool {
    match F::udp_origin().get_ptr(peer) {
        // SAFETY: as in `record`.
        Some(entry) => !udp_origin::is_over(unsafe { &*entry }, clock::now()),
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
fn set_wildcard(port: [u8; 2]) {
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
