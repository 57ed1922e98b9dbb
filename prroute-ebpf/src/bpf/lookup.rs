//! The entry of a packet's flow.

use core::ptr;

use prroute_common::flow::Flow;
use prroute_common::time::Ticks;
use prroute_ebpf::decide::{self, FlowEntry};
use prroute_ebpf::wire::parse::{Kind, protocol};

use super::action::Fast;
use super::frame::{Direction, Frame, Table};
use super::maps::{Maps, by_family};

/// A flow entry that may be written in place: an update would reallocate the element.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) at: *mut Flow,
    pub(super) entry: FlowEntry,
}

impl Found {
    /// What lies there; an entry that no program wrote is none.
    #[inline(always)]
    fn new(at: *mut Flow, confirmed: bool, protocol: u8, now: Ticks) -> Option<Self> {
        if at.is_null() {
            return None;
        }
        // SAFETY: the pointer is to a live map value; another CPU may recycle it, which leaves
        // each of its words valid.
        let entry = FlowEntry::new(unsafe { *at }, confirmed, protocol, now)?;
        Some(Self { at, entry })
    }

    /// An entry that is too old counts as none.
    #[inline(always)]
    fn live(self) -> Option<Self> {
        (!self.entry.is_aged).then_some(self)
    }
}

/// For the fast path: of TCP among the confirmed ones, of the rest also among the others. Tells
/// what was found out for the slow path.
#[inline(always)]
pub(super) fn fast<F: Maps>(key: &F::Key, protocol: u8, now: Ticks) -> Result<Found, Fast> {
    if protocol == protocol::TCP {
        let at = pointer(F::flows().get_ptr_mut(key));
        return Found::new(at, true, protocol, now).ok_or(Fast::SlowPath);
    }
    let (at, confirmed) = match F::datagrams().get_ptr_mut(key) {
        Some(at) => (at, true),
        None => (pointer(F::new_flows().get_ptr_mut(key)), false),
    };
    let nowhere = if at.is_null() { Fast::SlowPathWithoutFlow } else { Fast::SlowPath };
    Found::new(at, confirmed, protocol, now).ok_or(nowhere)
}

#[inline(always)]
fn pointer(found: Option<*mut Flow>) -> *mut Flow {
    found.unwrap_or(ptr::null_mut())
}

#[inline(never)]
fn confirmed_at(frame: &Frame) -> *mut Flow {
    by_family!(frame.family, F => confirmed_of::<F>(frame))
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

#[inline(never)]
fn unconfirmed_at(frame: &Frame) -> *mut Flow {
    by_family!(frame.family, F => unconfirmed_of::<F>(frame))
}

#[inline(always)]
fn unconfirmed_of<F: Maps>(frame: &Frame) -> *mut Flow {
    pointer(F::new_flows().get_ptr_mut(frame.key::<F>()))
}

#[inline(always)]
fn confirmed(frame: &Frame, now: Ticks) -> Option<Found> {
    Found::new(confirmed_at(frame), true, frame.segment.protocol, now)
}

#[inline(always)]
fn unconfirmed(frame: &Frame, now: Ticks) -> Option<Found> {
    Found::new(unconfirmed_at(frame), false, frame.segment.protocol, now)
}

/// The unconfirmed entry, if it lives.
#[inline(always)]
pub(super) fn live_unconfirmed(frame: &Frame, now: Ticks) -> Option<Found> {
    unconfirmed(frame, now)?.live()
}

/// An entry that lives: a confirmed one wins over an unconfirmed one. Of a datagram also one that
/// does not live any more, if there is no other.
#[inline(always)]
pub(super) fn flow(frame: &Frame, now: Ticks) -> Option<Found> {
    if frame.has_no_flow {
        return None;
    }
    let first = confirmed(frame, now);
    if let Some(found) = &first
        && !found.entry.is_aged
    {
        return first;
    }
    if frame.segment.protocol == protocol::TCP {
        return live_unconfirmed(frame, now);
    }
    match unconfirmed(frame, now) {
        Some(second) if first.is_none() || !second.entry.is_aged => Some(second),
        _ => first,
    }
}

/// Puts what was found into the frame; tells where it lies.
#[inline(always)]
fn keep(frame: &mut Frame, found: Option<Found>) -> *mut Flow {
    let Some(Found { at, entry }) = found else {
        frame.entry.table = Table::None;
        return ptr::null_mut();
    };
    frame.entry.flow = entry.flow;
    frame.entry.table = if entry.confirmed { Table::Confirmed } else { Table::Unconfirmed };
    at
}

/// The entry of the packet in the frame that came in.
#[inline(never)]
pub(super) fn find_inbound() -> *mut Flow {
    let Some(frame) = Frame::of(Direction::In) else { return ptr::null_mut() };
    let packet = frame.inbound();
    let mut found = flow(frame, packet.now);
    // Of TCP there may be one of a newer connection beside the confirmed one.
    if let Some(Found { entry, .. }) = &found
        && entry.confirmed
        && packet.protocol == protocol::TCP
        && decide::may_be_superseded_in(entry, &packet)
        && let Some(newer) = live_unconfirmed(frame, packet.now)
        && decide::is_preferred_in(&newer.entry, &packet)
    {
        found = Some(newer);
    }
    keep(frame, found)
}

/// The entry of the packet in the frame that is about to leave.
#[inline(never)]
pub(super) fn find_outbound() -> *mut Flow {
    let Some(frame) = Frame::of(Direction::Out) else { return ptr::null_mut() };
    let packet = frame.outbound();
    // A reset that answers a SYN has no number of its own (RFC 9293, 3.10.7.1).
    let answers_syn = packet.kind == Kind::TcpAnswer
        || (packet.kind == Kind::TcpReset && packet.tcp.sequence == 0);
    let found = if answers_syn {
        of_syn(frame, packet.tcp.acknowledgement, packet.now)
    } else {
        let found = flow(frame, packet.now);
        match newer_outbound(frame, found.as_ref(), packet.now) {
            Some(newer) => Some(newer),
            None => found,
        }
    };
    keep(frame, found)
}

/// The entry of a newer connection beside the confirmed one that was found.
#[inline(always)]
fn newer_outbound(frame: &Frame, found: Option<&Found>, now: Ticks) -> Option<Found> {
    let packet = frame.outbound();
    let entry = &found?.entry;
    let may_be = entry.confirmed
        && frame.segment.protocol == protocol::TCP
        && decide::may_be_superseded_out(entry, &packet);
    if !may_be {
        return None;
    }
    live_unconfirmed(frame, now).filter(|newer| decide::is_preferred_out(&newer.entry, &packet))
}

/// The entry of a SYN-ACK, or of a reset that answers a SYN: the unconfirmed one wins, if it is
/// the one whose SYN is acknowledged. If not, it is none.
#[inline(always)]
fn of_syn(frame: &Frame, acknowledgement: u32, now: Ticks) -> Option<Found> {
    let newer = live_unconfirmed(frame, now);
    if let Some(found) = &newer
        && decide::is_answered(&found.entry, acknowledgement)
    {
        return newer;
    }
    confirmed(frame, now)?.live()
}
