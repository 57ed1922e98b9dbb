//! Opening pinned maps.

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
