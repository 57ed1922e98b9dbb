//! One counter per reason and uplink.

use prroute_common::reason::{REASON_SLOTS, Reason};
use prroute_common::uplink::MAX_UPLINKS;

use super::maps::COUNTERS;

/// Counts `reason` for the uplink with this id, on this CPU.
#[inline(always)]
pub(super) fn count(uplink: u16, reason: Reason) {
    let uplink = u32::from(uplink) & (MAX_UPLINKS - 1);
    if let Some(counter) = COUNTERS.get_ptr_mut(uplink * REASON_SLOTS + reason as u32) {
        // SAFETY: the pointer is to this CPU's own element, and a tc program is not preempted
        // by another one on its CPU in the same direction; a lost increment would only be a
        // wrong count.
        unsafe { *counter += 1 };
    }
}
