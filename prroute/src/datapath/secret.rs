//! Numbers that nobody outside can guess.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use aya::maps::{Array, Map, MapData};
use prroute_common::names;
use prroute_common::syn_cache::{SECRET_WORDS, SLOTS};

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;

/// Not 0, and not to be guessed: the standard library's hashes are keyed by the system's
/// randomness.
#[must_use]
pub fn secret() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

/// The secret of an instance's syn_cache: with another one those that were noted are found no more.
pub(super) fn of_syn_cache(pins: &Pins) -> Result<[u64; SECRET_WORDS]> {
    let mut words = [0; SECRET_WORDS];
    if pins.map(names::SYN_CACHE).exists() {
        let syn_cache = syn_cache(pins)?;
        for (index, word) in (SLOTS..).zip(&mut words) {
            *word = syn_cache.get(&index, 0).map_err(failed("read", names::SYN_CACHE))?;
        }
    }
    Ok(words.map(|word| if word == 0 { secret() } else { word }))
}

/// Keeps it for the next one that loads programs on these maps.
pub(super) fn keep_for_syn_cache(pins: &Pins, secret: &[u64; SECRET_WORDS]) -> Result<()> {
    let mut syn_cache = syn_cache(pins)?;
    for (index, word) in (SLOTS..).zip(secret) {
        syn_cache.set(index, word, 0).map_err(failed("write", names::SYN_CACHE))?;
    }
    Ok(())
}

fn syn_cache(pins: &Pins) -> Result<Array<MapData, u64>> {
    open(pins, names::SYN_CACHE, Map::Array)
}
