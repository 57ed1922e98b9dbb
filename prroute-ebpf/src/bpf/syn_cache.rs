//! The SYN cache: connections to an address of the uplink that they come in on. Most stay there, and
//! nobody asks where they were opened: a word each is enough (`prroute_ebpf::decide::syn_cache`).

use core::ptr;

use prroute_common::reason::Reason;
use prroute_common::syn_cache::SECRET_WORDS;
use prroute_common::time::Ticks;
use prroute_ebpf::decide::syn_cache::SynSlot;
use prroute_ebpf::decide::{self, AtSyn, UplinkRef};
use prroute_ebpf::wire::Wire;

use super::frame::{Direction, Frame, Table, WriteTo};
use super::lookup;
use super::maps::{SYN_CACHE, by_family};
use super::uplink;
use super::write;

/// What keys are hashed with. The loader sets it.
#[unsafe(no_mangle)]
static SYN_CACHE_SECRET: [u64; SECRET_WORDS] = [0; SECRET_WORDS];

#[inline(always)]
fn secret(index: usize) -> u32 {
    // SAFETY: the index is below `KEYS`, a key for each half of a word. Volatile: the compiler would
    // fold what the loader has not set yet.
    unsafe { ptr::read_volatile((&raw const SYN_CACHE_SECRET).cast::<u32>().add(index)) }
}

/// Where the word of a flow is.
#[inline(always)]
fn slot_of<F: Wire>(key: &F::Key) -> Option<(SynSlot, *mut u64)> {
    let slot = F::syn_slot(key, secret);
    Some((slot, SYN_CACHE.get_ptr_mut(slot.index)?))
}

/// Inserts a SYN that came in on the owner of its address.
#[inline(always)]
pub(super) fn insert<F: Wire>(key: &F::Key, here: UplinkRef, now: Ticks) {
    if let Some((slot, word)) = slot_of::<F>(key) {
        // SAFETY: the pointer is to a live, aligned word, which any CPU may write: each of its values
        // is valid.
        unsafe { word.write_volatile(slot.word(here, now)) };
    }
}

/// Makes a flow entry of a SYN in the cache, because somebody asks for its flow now. The word
/// stays: the entry is as old, and is not made again.
#[inline(always)]
pub(super) fn promote(direction: Direction, now: Ticks) {
    if find(direction, now) {
        enter(direction, now);
    }
}

/// Whether the flow of the packet in the frame is in the cache; it is put into what is to be written.
#[inline(never)]
fn find(direction: Direction, now: Ticks) -> bool {
    let Some(frame) = Frame::of(direction) else { return false };
    let found = by_family!(frame.family, F => slot_of::<F>(frame.key::<F>()));
    let Some((slot, word)) = found else { return false };
    // SAFETY: as in `insert`.
    let Some(syn) = slot.cached(unsafe { word.read_volatile() }, now) else { return false };
    let Some(facts) = uplink::with_id(syn.uplink()) else { return false };
    if !syn.is_of(facts.generation) {
        return false;
    }
    frame.write.flow = decide::opened_at(UplinkRef::of(facts), syn.time);
    frame.write.set(WriteTo::Unconfirmed, facts.id, Some(Reason::OpenedInbound));
    true
}

/// Enters that flow, unless what is known is newer or may not be replaced.
#[inline(never)]
fn enter(direction: Direction, now: Ticks) -> u32 {
    let Some(frame) = Frame::of(direction) else { return 0 };
    let flow = frame.write.flow;
    let uplink = UplinkRef { id: flow.uplink(), generation: flow.generation() };
    let time = flow.last_in();
    lookup::flow(frame, now);
    match frame.entry.get().map(|entry| entry.at_syn(uplink, time)) {
        None | Some(AtSyn::IsReplaced) => {}
        Some(AtSyn::Stays) => return 0,
        Some(AtSyn::GetsAnother) => {
            lookup::live_unconfirmed(frame, now);
            if frame.entry.get().is_some_and(|entry| entry.at_syn(uplink, time) == AtSyn::Stays) {
                return 0;
            }
        }
    }
    if frame.entry.table == Table::None {
        write::open(frame)
    } else {
        write::anew(frame)
    }
    0
}
