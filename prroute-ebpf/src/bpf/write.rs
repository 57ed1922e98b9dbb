//! Writing flows.

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_ebpf::decide::worth_writing;
use prroute_ebpf::wire::parse::protocol;

use super::by_words;
use super::count::count;
use super::frame::{Direction, Frame, PendingWrite, Table, WriteTo};
use super::lookup;
use super::maps::{Maps, by_family};

/// Writes those words of an entry that differ from what was read: each lies in a line of memory that
/// other CPUs may have, too.
#[inline(always)]
pub(super) fn changed_words(at: *mut Flow, old: &Flow, new: &Flow) {
    let words = at.cast::<u64>();
    for (index, (old, new)) in old.words().into_iter().zip(new.words()).enumerate() {
        if old != new {
            // SAFETY: the pointer is to a live map value of four aligned words, each of which is valid
            // on its own.
            unsafe { words.add(index).write(new) };
        }
    }
}

/// Writes what was decided for the packet in the frame.
#[inline(never)]
pub(super) fn apply(direction: Direction) {
    let Some(frame) = Frame::of(direction) else { return };
    let PendingWrite { flow, to, .. } = &frame.write;
    match to {
        WriteTo::Nothing => {}
        WriteTo::Entry => {
            let old = &frame.entry.flow;
            change(frame, old, &worth_writing(old, flow));
        }
        WriteTo::EntryAnew => anew(frame),
        WriteTo::Unconfirmed => open(frame),
        WriteTo::Confirmed => confirm(frame),
    }
}

/// The entry is looked up once more: where it lies the verifier would follow through all that is decided.
#[inline(always)]
fn change(frame: &Frame, old: &Flow, new: &Flow) {
    if old == new {
        return;
    }
    let at = lookup::again(frame);
    if !at.is_null() {
        changed_words(at, old, new);
    }
}

/// Writes a flow over the entry in the frame.
#[inline(always)]
pub(super) fn anew(frame: &Frame) {
    let at = lookup::again(frame);
    if !at.is_null() {
        // SAFETY: as in `changed_words`.
        unsafe { by_words::write(at.cast(), frame.write.flow.words()) };
        counted(&frame.write, true);
    }
}

#[inline(always)]
fn counted(write: &PendingWrite, is_written: bool) {
    if !is_written {
        count(write.uplink, Reason::TableFull);
    } else if write.is_counted {
        count(write.uplink, write.reason);
    }
}

/// Records an unconfirmed flow.
#[inline(always)]
pub(super) fn open(frame: &Frame) {
    let flow = &frame.write.flow;
    let is_written = by_family!(frame.family, F => {
        <F as Maps>::new_flows().insert(frame.key::<F>(), flow, 0).is_ok()
    });
    counted(&frame.write, is_written);
}

/// Records a flow among the confirmed ones, whatever is there. Its unconfirmed entry, if it has one, says
/// nothing from then on: a late copy of what it has proved would bring the flow back to it.
#[inline(always)]
fn confirm(frame: &Frame) {
    let flow = &frame.write.flow;
    let is_tcp = frame.segment.protocol == protocol::TCP;
    let is_written = by_family!(frame.family, F => if is_tcp {
        <F as Maps>::flows().insert(frame.key::<F>(), flow, 0).is_ok()
    } else {
        <F as Maps>::datagrams().insert(frame.key::<F>(), flow, 0).is_ok()
    });
    if is_written && frame.entry.table == Table::Unconfirmed {
        let at = lookup::again(frame);
        if !at.is_null() {
            // SAFETY: as in `changed_words`.
            unsafe { by_words::write(at.cast(), Flow::default().words()) };
        }
    }
    counted(&frame.write, is_written);
}
