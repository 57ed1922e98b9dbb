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

/// Where the entry of the packet's flow is in the table that the frame names: another one, if it was replaced.
#[inline(never)]
pub(super) fn again(frame: &Frame) -> *mut Flow {
    let is_confirmed = match frame.entry.table {
        Table::None => return ptr::null_mut(),
        table => table == Table::Confirmed,
    };
    at(frame, is_confirmed)
}

#[inline(always)]
fn at(frame: &Frame, is_confirmed: bool) -> *mut Flow {
    let is_tcp = frame.segment.protocol == protocol::TCP;
    by_family!(frame.family, F => {
        let key = frame.key::<F>();
        let found = match is_confirmed {
            true if is_tcp => F::flows().get_ptr_mut(key),
            true => F::datagrams().get_ptr_mut(key),
            false => F::new_flows().get_ptr_mut(key),
        };
        found.unwrap_or(ptr::null_mut())
    })
}

/// Looks up the confirmed entry of the packet's flow, and puts it into the frame.
#[inline(never)]
fn confirmed(frame: &mut Frame, now: Ticks) {
    let at = at(frame, true);
    keep(frame, at, Table::Confirmed, now);
}

/// Looks up the unconfirmed entry, and puts it into the frame.
#[inline(never)]
fn unconfirmed(frame: &mut Frame, now: Ticks) {
    let at = at(frame, false);
    keep(frame, at, Table::Unconfirmed, now);
}

#[inline(always)]
fn keep(frame: &mut Frame, at: *mut Flow, table: Table, now: Ticks) {
    frame.entry.table = Table::None;
    if at.is_null() {
        return;
    }
    // An entry that no program wrote is none.
    let confirmed = table == Table::Confirmed;
    if let Some(entry) = FlowEntry::new(read(at), confirmed, frame.segment.protocol, now) {
        frame.entry.set(entry.flow, table, entry.is_aged);
    }
}

/// Forgets an entry that is too old.
#[inline(always)]
fn live(frame: &mut Frame) {
    if frame.entry.is_aged {
        frame.entry.table = Table::None;
    }
}

/// Looks up the unconfirmed entry, if it lives.
#[inline(always)]
pub(super) fn live_unconfirmed(frame: &mut Frame, now: Ticks) {
    unconfirmed(frame, now);
    live(frame);
}

/// Looks up an entry that lives: a confirmed one wins over an unconfirmed one. Of a datagram also one
/// that does not live any more, if there is no other; of two of them the one that says where its peer is.
#[inline(never)]
pub(super) fn flow(frame: &mut Frame, now: Ticks) {
    frame.entry.table = Table::None;
    if frame.has_no_flow {
        return;
    }
    confirmed(frame, now);
    let is_there = frame.entry.table != Table::None;
    if is_there && !frame.entry.is_aged {
        return;
    }
    if frame.segment.protocol == protocol::TCP {
        return live_unconfirmed(frame, now);
    }
    let aged = frame.entry.flow;
    unconfirmed(frame, now);
    let is_newer = frame.entry.table != Table::None && is_preferred_aged(frame, &aged);
    if is_there && !is_newer {
        frame.entry.set(aged, Table::Confirmed, true);
    }
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
pub(super) fn find_inbound() {
    let Some(frame) = Frame::of(Direction::In) else { return };
    let packet = frame.inbound();
    flow(frame, packet.now);
    let may_be = |entry: &FlowEntry| decide::may_be_superseded_in(entry, &packet);
    let is_preferred = |newer: &FlowEntry| decide::is_preferred_in(newer, &packet);
    or_newer(frame, packet.now, may_be, is_preferred);
}

/// Looks up the entry of the packet in the frame that is about to leave.
#[inline(never)]
pub(super) fn find_outbound() {
    let Some(frame) = Frame::of(Direction::Out) else { return };
    let packet = frame.outbound();
    // A reset that answers a SYN has no number of its own (RFC 9293, 3.10.7.1).
    let answers_syn = packet.kind == Kind::TcpAnswer
        || (packet.kind == Kind::TcpReset && packet.tcp.sequence == 0);
    if answers_syn {
        return of_syn(frame, &packet);
    }
    flow(frame, packet.now);
    let may_be = |entry: &FlowEntry| decide::may_be_superseded_out(entry, &packet);
    let is_preferred = |newer: &FlowEntry| decide::is_preferred_out(newer, &packet);
    or_newer(frame, packet.now, may_be, is_preferred);
}

/// Of TCP there may be an entry of a newer connection beside the confirmed one that was found.
#[inline(always)]
fn or_newer(
    frame: &mut Frame,
    now: Ticks,
    may_be: impl Fn(&FlowEntry) -> bool,
    is_preferred: impl Fn(&FlowEntry) -> bool,
) {
    let is_tcp = frame.segment.protocol == protocol::TCP;
    if !is_tcp || !frame.entry.get().is_some_and(|entry| entry.confirmed && may_be(&entry)) {
        return;
    }
    let older = frame.entry.flow;
    live_unconfirmed(frame, now);
    if !frame.entry.get().is_some_and(|newer| is_preferred(&newer)) {
        frame.entry.set(older, Table::Confirmed, false);
    }
}

/// The entry of a SYN-ACK, or of a reset that answers a SYN: the unconfirmed one wins, if it is
/// the one whose SYN is acknowledged. If not, it is none.
#[inline(always)]
fn of_syn(frame: &mut Frame, packet: &OutboundPacket) {
    live_unconfirmed(frame, packet.now);
    if frame.entry.get().is_some_and(|entry| decide::is_answered(&entry, packet)) {
        return;
    }
    confirmed(frame, packet.now);
    live(frame);
}
