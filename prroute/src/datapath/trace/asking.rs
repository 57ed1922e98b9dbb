//! The bit by which the programs know that somebody asks. It lies in the facts of each uplink, which every packet
//! reads and the loader writes: the array is mapped, so that the bit alone is changed.

use std::io;
use std::mem::offset_of;
use std::num::NonZero;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use prroute_common::names;
use prroute_common::uplink::{MAX_FACTS, UplinkFacts, flag};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::maps::failed;
use crate::datapath::pins::Pins;

const BYTES: NonZero<usize> = NonZero::new(MAX_FACTS as usize * size_of::<UplinkFacts>()).unwrap();

/// The facts of all uplinks, in memory.
pub(super) struct Asking {
    start: NonNull<u8>,
}

impl Asking {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let name = names::UPLINK_FACTS;
        let map = MapData::from_pin(pins.map(name)).map_err(failed("open pinned map", name))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place, and the mapping outlives the descriptor.
        let start =
            unsafe { mmap(None, BYTES, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        let refused = |errno| DatapathError::File {
            operation: "map into memory",
            path: pins.map(name),
            source: io::Error::from(errno),
        };
        Ok(Self { start: start.map_err(refused)?.cast() })
    }

    /// Tells the programs on every uplink.
    pub(super) fn set(&self, asks: bool) {
        for index in 0..MAX_FACTS as usize {
            let at = index * size_of::<UplinkFacts>() + offset_of!(UplinkFacts, flags);
            // SAFETY: the place lies in the mapping.
            let flags = unsafe { self.start.add(at) }.cast().as_ptr();
            // SAFETY: it is on a word's boundary, mapped for as long as this lives, and others change the word
            // as a whole.
            let flags = unsafe { AtomicU32::from_ptr(flags) };
            match asks {
                true if flags.load(Ordering::Relaxed) != 0 => {
                    flags.fetch_or(flag::TRACED, Ordering::Relaxed);
                }
                true => {}
                false => drop(flags.fetch_and(!flag::TRACED, Ordering::Relaxed)),
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing refers to it any more.
        let result = unsafe { munmap(self.start.cast(), BYTES.get()) };
        if let Err(errno) = result {
            tracing::debug!("unmap the facts of uplinks: {errno}");
        }
    }
}
