//! Writing flows.

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_ebpf::verdict::is_worth_writing;

use super::count::count;
use super::lookup::{Entry, Found, Tables};

/// Notes what is new of a flow in the entry it has; a slightly later time alone is not.
#[inline(always)]
pub(super) fn refresh(entry: Option<Entry>, flow: Flow) {
    let Some(entry) = entry else { return };
    if is_worth_writing(&entry.known.flow, &flow) {
        // SAFETY: the pointer is to a live map value of three aligned words.
        unsafe { *entry.flow = flow };
    }
}

/// Writes the times of a flow in the entry that was found. The last word of an entry often lies in
/// a line of memory of its own, which is not touched for that.
#[inline(always)]
pub(super) fn times(found: &Found, flow: Flow) {
    // SAFETY: as in `refresh`; the head is the first word.
    unsafe { found.at.cast::<u64>().write(flow.head()) };
}

/// Writes a flow in the entry it has.
#[inline(always)]
pub(super) fn overwrite(entry: Option<Entry>, flow: Flow, uplink: u16, reason: Reason) {
    let Some(entry) = entry else { return };
    // SAFETY: as in `refresh`.
    unsafe { *entry.flow = flow };
    count(uplink, reason);
}

/// Records an unconfirmed flow.
#[inline(always)]
pub(super) fn open<F: Tables>(key: &F::Key, flow: Flow, uplink: u16, reason: Reason) {
    let written = F::new_flows().insert(key, flow, 0).is_ok();
    count(uplink, if written { reason } else { Reason::TableFull });
}

/// Records a confirmed flow. Its unconfirmed entry is left to age.
#[inline(always)]
pub(super) fn confirm<F: Tables>(key: &F::Key, flow: Flow, uplink: u16) {
    let written = F::flows().insert(key, flow, 0).is_ok();
    count(uplink, if written { Reason::Confirmed } else { Reason::TableFull });
}
