//! The SYN cache: connections to an address of the uplink that they come in on. Most stay there, and
//! nobody asks where they were opened: a word each is enough (`prroute_ebpf::decide::syn_cache`).

use core::ptr;

use prroute_common::reason::Reason;
use prroute_common::syn_cache::SECRET_WORDS;
use prroute_common::time::Ticks;
use prroute_ebpf::decide::syn_cache::SynSlot;
use prroute_ebpf::decide::{self, AtSyn, UplinkRef};
use prroute_ebpf::wire::Wire;

use super::count::count;
use super::frame::{Direction, Frame, WriteTo};
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
#[inline(never)]
pub(super) fn promote(direction: Direction, now: Ticks) {
    let Some(frame) = Frame::of(direction) else { return };
    let found = by_family!(frame.family, F => slot_of::<F>(frame.key::<F>()));
    let Some((slot, word)) = found else { return };
    // SAFETY: as in `insert`.
    let Some(syn) = slot.cached(unsafe { word.read_volatile() }, now) else { return };
    let Some(facts) = uplink::with_id(syn.uplink()) else { return };
    if !syn.is_of(facts.generation) {
        return;
    }
    let uplink = UplinkRef::of(facts);
    let flow = decide::opened_at(uplink, syn.time);
    frame.write.set_counted(WriteTo::Unconfirmed, flow, uplink.id, Reason::OpenedInbound);
    let Some(found) = lookup::flow(frame, now) else { return write::open(frame) };
    let replaced = match found.entry.at_syn(uplink, syn.time) {
        AtSyn::Stays => return,
        AtSyn::IsReplaced => found,
        AtSyn::GetsAnother => match lookup::live_unconfirmed(frame, now) {
            None => return write::open(frame),
            Some(beside) if beside.entry.at_syn(uplink, syn.time) == AtSyn::Stays => return,
            Some(beside) => beside,
        },
    };
    // SAFETY: the pointer is to a live map value of four aligned words.
    unsafe { *replaced.at = flow };
    count(uplink.id, Reason::OpenedInbound);
}
