//! Reading a hash map or an array in batches (BPF_MAP_LOOKUP_BATCH, Linux 5.6).
//!
//! Key by key a reader would start again whenever the key at hand is evicted meanwhile: in a flood
//! it would never come to an end. Batches go by the map's buckets.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::MapData;
use aya_obj::generated::bpf_cmd::BPF_MAP_LOOKUP_BATCH;
use nix::errno::Errno;
use nix::libc;

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::maps::failed;
use crate::datapath::pins::Pins;

/// Entries per request; a bucket has to fit.
const BATCH: u32 = 4096;
const LARGEST_BATCH: u32 = 1 << 20;

/// `batch` of union `bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Every entry of a pinned hash map or array, and how many it can hold.
///
/// # Errors
///
/// When the map is not pinned, has other sizes, or cannot be read.
pub(super) fn read<K: aya::Pod, V: aya::Pod>(
    pins: &Pins,
    name: &'static str,
) -> Result<(Vec<(K, V)>, u32)> {
    let mut entries = Vec::new();
    let capacity = visit(pins, name, |key, value| entries.push((key, value)))?;
    Ok((entries, capacity))
}

/// Shows every entry of a pinned hash map to `take`, and tells how many the map can hold.
///
/// # Errors
///
/// Likewise.
pub(super) fn visit<K: aya::Pod, V: aya::Pod>(
    pins: &Pins,
    name: &'static str,
    take: impl FnMut(K, V),
) -> Result<u32> {
    let map = MapData::from_pin(pins.map(name)).map_err(failed("open pinned map", name))?;
    let info = map.info().map_err(failed("ask for the sizes of", name))?;
    let refused = |source| DatapathError::File { operation: "read", path: pins.map(name), source };
    if (info.key_size() as usize, info.value_size() as usize) != (size_of::<K>(), size_of::<V>()) {
        return Err(refused(io::Error::other("its entries have another size")));
    }
    each(&map, take).map_err(|errno| refused(errno.into()))?;
    Ok(info.max_entries())
}

fn each<K: aya::Pod, V: aya::Pod>(
    map: &MapData,
    mut take: impl FnMut(K, V),
) -> std::result::Result<(), Errno> {
    // Where the next batch begins: the kernel's own note, a bucket's number or an index.
    let mut cursor: Option<u32> = None;
    let mut batch = BATCH;
    loop {
        let mut keys: Vec<K> = Vec::with_capacity(batch as usize);
        let mut values: Vec<V> = Vec::with_capacity(batch as usize);
        let mut next = 0u32;
        let mut attributes = BatchAttr {
            in_batch: cursor.as_ref().map_or(0, |cursor| std::ptr::from_ref(cursor) as u64),
            out_batch: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: batch,
            map: map.fd().as_fd().as_raw_fd().cast_unsigned(),
            ..BatchAttr::default()
        };
        let size = size_of::<BatchAttr>();
        // SAFETY: the attributes are live and of the given size. `keys` and `values` have room for
        // `count` elements of the map's own sizes, which the caller compared.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH as u32, &raw mut attributes, size)
        };
        let is_last = match Errno::result(result) {
            Ok(_) => false,
            Err(Errno::ENOENT) => true,
            Err(Errno::ENOSPC) if batch < LARGEST_BATCH => {
                batch *= 2;
                continue;
            }
            Err(errno) => return Err(errno),
        };
        let count = attributes.count.min(batch) as usize;
        // SAFETY: the kernel wrote so many keys, and any bits are a valid one.
        unsafe { keys.set_len(count) };
        // SAFETY: likewise for the values.
        unsafe { values.set_len(count) };
        keys.into_iter().zip(values).for_each(|(key, value)| take(key, value));
        if is_last {
            return Ok(());
        }
        cursor = Some(next);
    }
}
