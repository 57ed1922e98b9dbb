//! Opening pinned maps.

use std::io::ErrorKind;

use aya::maps::{Map, MapData, MapError};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::pins::Pins;

pub(super) fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
    as_map: fn(MapData) -> Map,
) -> Result<T> {
    MapData::from_pin(pins.map(name))
        .and_then(|data| T::try_from(as_map(data)))
        .map_err(failed("open pinned map", name))
}

pub(super) fn failed(
    operation: &'static str,
    name: &'static str,
) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::Map { operation, object: name.to_owned(), source }
}

/// Whether the kernel refused for this reason.
pub(super) fn is(error: &MapError, kind: ErrorKind) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.kind() == kind)
}

/// Whether there is no such entry: aya says it in one way when it looks up, in another when it removes.
pub(super) fn is_absent(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || is(error, ErrorKind::NotFound)
}
