//! Writing flows.

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::is_worth_writing;

use super::count::count;
use super::lookup::{Found, Tables};

/// Notes what is new of a flow in its entry, of which `old` was read; a slightly later time alone is
/// not.
#[inline(always)]
pub(super) fn refresh(at: *mut Flow, old: &Flow, flow: &Flow) {
    if !at.is_null() && is_worth_writing(old, flow) {
        // SAFETY: the pointer is to a live map value of four aligned words.
        unsafe { *at = *flow };
    }
}

/// Writes the times of a flow in the entry that was found. The last word of an entry often lies in
/// a line of memory of its own, which is not touched for that.
#[inline(always)]
pub(super) fn times(found: &Found, flow: Flow) {
    // SAFETY: as in `refresh`; the times are the first word.
    unsafe { found.at.cast::<u64>().write(flow.times()) };
}

/// Writes a flow in an entry that is there.
#[inline(always)]
pub(super) fn overwrite(at: *mut Flow, flow: &Flow, uplink: u16, reason: Reason) {
    if !at.is_null() {
        // SAFETY: as in `refresh`.
        unsafe { *at = *flow };
        count(uplink, reason);
    }
}

/// Records an unconfirmed flow.
#[inline(always)]
pub(super) fn open<F: Tables>(key: &F::Key, flow: &Flow, uplink: u16, reason: Reason) {
    let written = F::new_flows().insert(key, flow, 0).is_ok();
    count(uplink, if written { reason } else { Reason::TableFull });
}

/// Records a flow among the confirmed ones, and counts that it is.
#[inline(always)]
pub(super) fn confirm<F: Tables>(
    key: &F::Key,
    protocol: u8,
    unconfirmed: *mut Flow,
    flow: &Flow,
    uplink: u16,
) {
    let is_stored = store::<F>(key, protocol, unconfirmed, flow);
    count(uplink, if is_stored { Reason::Confirmed } else { Reason::TableFull });
}

/// Records a flow among the confirmed ones, whatever is there. Its unconfirmed entry, if it has one, says
/// nothing from then on: a late copy of what it has proved would bring the flow back to it. Tells
/// whether there was room.
#[inline(always)]
pub(super) fn store<F: Tables>(
    key: &F::Key,
    protocol: u8,
    unconfirmed: *mut Flow,
    flow: &Flow,
) -> bool {
    let is_stored = if protocol == protocol::TCP {
        F::flows().insert(key, flow, 0).is_ok()
    } else {
        F::datagrams().insert(key, flow, 0).is_ok()
    };
    if is_stored && !unconfirmed.is_null() {
        // SAFETY: as in `refresh`.
        unsafe { *unconfirmed = Flow::default() };
    }
    is_stored
}
