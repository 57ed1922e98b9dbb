//! Connections to an address of the uplink that they come in on. Most stay there, and nobody asks
//! where they were opened: a word each is enough (`prroute_ebpf::opening`).

use core::ptr;

use prroute_common::reason::Reason;
use prroute_common::syn_cache::SECRET_WORDS;
use prroute_common::time::Ticks;
use prroute_ebpf::family::Family;
use prroute_ebpf::opening::Opening;
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::{self, AtSyn, Place};

use super::lookup::{self, Sought, Tables};
use super::maps::SYN_CACHE;
use super::record;

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
fn word_of<F: Family>(key: &F::Key) -> Option<(Opening, *mut u64)> {
    let opening = F::opening(key, secret);
    Some((opening, SYN_CACHE.get_ptr_mut(opening.slot)?))
}

/// Notes a SYN that came in on the owner of its address.
#[inline(always)]
pub(super) fn note<F: Family>(key: &F::Key, here: Place, now: Ticks) {
    if let Some((opening, word)) = word_of::<F>(key) {
        // SAFETY: the pointer is to a live, aligned word, which any CPU may write: each of its values
        // is valid.
        unsafe { word.write_volatile(opening.at(here, now)) };
    }
}

/// Records a connection whose SYN was only noted, because somebody asks for its flow now. The word
/// stays: the entry is as old, and is not made again. A function of its own: its callers have no stack
/// to spare.
#[inline(never)]
pub(super) fn recall<F: Tables>(key: &F::Key, now: Ticks) {
    let Some((opening, word)) = word_of::<F>(key) else { return };
    // SAFETY: as in `note`.
    let Some(noted) = opening.noted(unsafe { word.read_volatile() }, now) else { return };
    let Some(uplink) = lookup::uplink_by_id(noted.uplink()) else { return };
    if !noted.is_of(uplink.generation) {
        return;
    }
    let place = Place::of(uplink);
    let flow = verdict::opened_at(place, noted.time);
    let Some(entry) = lookup::flow::<F>(Sought::NotYet, key, protocol::TCP, now) else {
        return record::open::<F>(key, &flow, uplink.id, Reason::OpenedInbound);
    };
    let entry = match entry.known.at_syn(place, noted.time) {
        AtSyn::Stays => return,
        AtSyn::IsReplaced => entry,
        AtSyn::GetsAnother => match lookup::unconfirmed_flow::<F>(key, protocol::TCP, now) {
            None => return record::open::<F>(key, &flow, uplink.id, Reason::OpenedInbound),
            Some(beside) if beside.known.at_syn(place, noted.time) == AtSyn::Stays => return,
            Some(beside) => beside,
        },
    };
    record::overwrite(entry.flow, &flow, uplink.id, Reason::OpenedInbound);
}
