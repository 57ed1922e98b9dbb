//! Connections to an address of the uplink that they come in on. Most stay there, and nobody asks
//! where they were opened: a word each is enough (`prroute_ebpf::opening`).

use aya_ebpf::Global;
use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_common::time::Ticks;
use prroute_ebpf::family::Family;
use prroute_ebpf::opening::Opening;
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::Place;

use super::lookup::{self, Sought, Tables};
use super::maps::OPENINGS;
use super::record;

/// Keeps others from finding connections that share a word. The verifier folds it.
#[unsafe(no_mangle)]
static OPENING_SECRET: Global<u64> = Global::new(0);

/// Where the word of a flow is.
#[inline(always)]
fn place<F: Family>(key: &F::Key) -> Option<(Opening, *mut u64)> {
    let opening = F::opening(key, OPENING_SECRET.load());
    Some((opening, OPENINGS.get_ptr_mut(opening.slot)?))
}

/// Notes a SYN that came in on the owner of its address.
#[inline(always)]
pub(super) fn note<F: Family>(key: &F::Key, now: Ticks) {
    if let Some((opening, word)) = place::<F>(key) {
        // SAFETY: the pointer is to a live, aligned word, which any CPU may write: each of its values
        // is valid.
        unsafe { word.write_volatile(opening.at(now)) };
    }
}

/// Records a connection whose SYN was only noted, because somebody asks for its flow now. A function of
/// its own: its callers have no stack to spare.
#[inline(never)]
pub(super) fn recall<F: Tables>(key: &F::Key, now: Ticks) {
    let Some((opening, word)) = place::<F>(key) else { return };
    // SAFETY: as in `note`.
    let Some(opened_at) = opening.time(unsafe { word.read_volatile() }, now) else { return };
    // SAFETY: as in `note`.
    unsafe { word.write_volatile(0) };
    let Some(owner) = lookup::owner::<F>(&F::local(key)) else { return };
    let flow = Flow::inbound(owner.id, owner.generation, opened_at);
    match lookup::flow::<F>(Sought::NotYet, key, protocol::TCP, now) {
        Some(entry) if !entry.known.gives_way(Place::of(owner), opened_at) => {}
        Some(entry) => record::overwrite(Some(entry), flow, owner.id, Reason::OpenedInbound),
        None => record::open::<F>(key, flow, owner.id, Reason::OpenedInbound),
    }
}
