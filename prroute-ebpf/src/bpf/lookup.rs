//! The entry of a packet's flow.

use core::ptr;

use prroute_common::flow::Flow;
use prroute_common::time::Ticks;
use prroute_ebpf::decide::{self, FlowEntry, OutboundPacket};
use prroute_ebpf::wire::parse::{Kind, protocol};

use super::action::Fast;
use super::frame::{Direction, Frame, Table};
use super::maps::{Maps, by_family};
use super::ports;

/// An entry that the fast path has found, as it was read. It is written in place: an update would
/// reallocate the element.
pub(super) struct Found {
    pub(super) at: *mut Flow,
    pub(super) flow: Flow,
    pub(super) confirmed: bool,
}

/// For the fast path: of TCP among the confirmed ones, of the rest also among the others.
#[inline(always)]
pub(super) fn fast<F: Maps>(key: &F::Key, protocol: u8) -> Result<Found, Fast> {
    let is_tcp = protocol == protocol::TCP;
    let table = if is_tcp { F::flows().get_ptr_mut(key) } else { F::datagrams().get_ptr_mut(key) };
    let (at, confirmed) = match table {
        Some(at) => (at, true),
        None if is_tcp => return Err(Fast::SlowPath),
        None => match F::new_flows().get_ptr_mut(key) {
            Some(at) => (at, false),
            None => return Err(Fast::SlowPathWithoutFlow),
        },
    };
    Ok(Found { at, flow: read(at), confirmed })
}

/// Each word once: another CPU may recycle the element, which leaves them valid.
#[inline(always)]
fn read(at: *mut Flow) -> Flow {
    let words = at.cast::<u64>();
    // SAFETY: the pointer is to a live map value of four aligned words.
    bytemuck::must_cast([0, 1, 2, 3].map(|index| unsafe { words.add(index).read_volatile() }))
}

#[inline(always)]
fn pointer(found: Option<*mut Flow>) -> *mut Flow {
    found.unwrap_or(ptr::null_mut())
}

#[inline(always)]
fn confirmed_of<F: Maps>(frame: &Frame) -> *mut Flow {
    let key = frame.key::<F>();
    pointer(if frame.segment.protocol == protocol::TCP {
        F::flows().get_ptr_mut(key)
    } else {
        F::datagrams().get_ptr_mut(key)
    })
}

#[inline(always)]
fn unconfirmed_of<F: Maps>(frame: &Frame) -> *mut Flow {
    pointer(F::new_flows().get_ptr_mut(frame.key::<F>()))
}

/// Looks up the confirmed entry of the packet's flow, and puts it into the frame.
#[inline(never)]
fn confirmed(frame: &mut Frame, now: Ticks) -> *mut Flow {
    let at = by_family!(frame.family, F => confirmed_of::<F>(frame));
    keep(frame, at, true, now)
}

/// Looks up the unconfirmed entry, and puts it into the frame.
#[inline(never)]
fn unconfirmed(frame: &mut Frame, now: Ticks) -> *mut Flow {
    let at = by_family!(frame.family, F => unconfirmed_of::<F>(frame));
    keep(frame, at, false, now)
}

#[inline(always)]
fn keep(frame: &mut Frame, at: *mut Flow, confirmed: bool, now: Ticks) -> *mut Flow {
    frame.entry.table = Table::None;
    if at.is_null() {
        return at;
    }
    // An entry that no program wrote is none.
    let Some(entry) = FlowEntry::new(read(at), confirmed, frame.segment.protocol, now) else {
        return ptr::null_mut();
    };
    let table = if confirmed { Table::Confirmed } else { Table::Unconfirmed };
    frame.entry.set(entry.flow, table, entry.is_aged);
    at
}

/// Forgets an entry that is too old.
#[inline(always)]
fn live(frame: &mut Frame, at: *mut Flow) -> *mut Flow {
    if frame.entry.is_aged {
        frame.entry.table = Table::None;
        return ptr::null_mut();
    }
    at
}

/// Looks up the unconfirmed entry, if it lives.
#[inline(always)]
pub(super) fn live_unconfirmed(frame: &mut Frame, now: Ticks) -> *mut Flow {
    let at = unconfirmed(frame, now);
    live(frame, at)
}

/// Looks up an entry that lives: a confirmed one wins over an unconfirmed one. Of a datagram also one
/// that does not live any more, if there is no other; of two of them the one that says where its peer is.
#[inline(never)]
pub(super) fn flow(frame: &mut Frame, now: Ticks) -> *mut Flow {
    frame.entry.table = Table::None;
    if frame.has_no_flow {
        return ptr::null_mut();
    }
    let first = confirmed(frame, now);
    if !first.is_null() && !frame.entry.is_aged {
        return first;
    }
    if frame.segment.protocol == protocol::TCP {
        return live_unconfirmed(frame, now);
    }
    let aged = frame.entry.flow;
    let second = unconfirmed(frame, now);
    if first.is_null() || (!second.is_null() && is_preferred_aged(frame, &aged)) {
        return second;
    }
    frame.entry.set(aged, Table::Confirmed, true);
    first
}

/// Whether the unconfirmed entry in the frame is preferred to a confirmed one that has aged.
#[inline(always)]
fn is_preferred_aged(frame: &Frame, confirmed: &Flow) -> bool {
    if !frame.entry.is_aged {
        return true;
    }
    let local_port = by_family!(frame.family, F => frame.key::<F>().local_port);
    let at_client_port = ports::is_client(local_port);
    decide::is_preferred_aged(&frame.entry.flow, confirmed, at_client_port)
}

/// Looks up the entry of the packet in the frame that came in.
#[inline(never)]
pub(super) fn find_inbound() -> *mut Flow {
    let Some(frame) = Frame::of(Direction::In) else { return ptr::null_mut() };
    let packet = frame.inbound();
    let found = flow(frame, packet.now);
    let may_be = |entry: &FlowEntry| decide::may_be_superseded_in(entry, &packet);
    let is_preferred = |newer: &FlowEntry| decide::is_preferred_in(newer, &packet);
    or_newer(frame, found, packet.now, may_be, is_preferred)
}

/// Looks up the entry of the packet in the frame that is about to leave.
#[inline(never)]
pub(super) fn find_outbound() -> *mut Flow {
    let Some(frame) = Frame::of(Direction::Out) else { return ptr::null_mut() };
    let packet = frame.outbound();
    // A reset that answers a SYN has no number of its own (RFC 9293, 3.10.7.1).
    let answers_syn = packet.kind == Kind::TcpAnswer
        || (packet.kind == Kind::TcpReset && packet.tcp.sequence == 0);
    if answers_syn {
        return of_syn(frame, &packet);
    }
    let found = flow(frame, packet.now);
    let may_be = |entry: &FlowEntry| decide::may_be_superseded_out(entry, &packet);
    let is_preferred = |newer: &FlowEntry| decide::is_preferred_out(newer, &packet);
    or_newer(frame, found, packet.now, may_be, is_preferred)
}

/// Of TCP there may be an entry of a newer connection beside the confirmed one that was found.
#[inline(always)]
fn or_newer(
    frame: &mut Frame,
    found: *mut Flow,
    now: Ticks,
    may_be: impl Fn(&FlowEntry) -> bool,
    is_preferred: impl Fn(&FlowEntry) -> bool,
) -> *mut Flow {
    let is_tcp = frame.segment.protocol == protocol::TCP;
    if !is_tcp || !frame.entry.get().is_some_and(|entry| entry.confirmed && may_be(&entry)) {
        return found;
    }
    let older = frame.entry.flow;
    let newer = live_unconfirmed(frame, now);
    if frame.entry.get().is_some_and(|newer| is_preferred(&newer)) {
        return newer;
    }
    frame.entry.set(older, Table::Confirmed, false);
    found
}

/// The entry of a SYN-ACK, or of a reset that answers a SYN: the unconfirmed one wins, if it is
/// the one whose SYN is acknowledged. If not, it is none.
#[inline(always)]
fn of_syn(frame: &mut Frame, packet: &OutboundPacket) -> *mut Flow {
    let newer = live_unconfirmed(frame, packet.now);
    if frame.entry.get().is_some_and(|entry| decide::is_answered(&entry, packet)) {
        return newer;
    }
    let confirmed = confirmed(frame, packet.now);
    live(frame, confirmed)
}
