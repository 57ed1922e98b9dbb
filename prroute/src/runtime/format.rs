//! What all files of an instance have in common: JSON with a version, and what is wrong with one
//! that cannot be used.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::namespace::NetworkNamespace;

/// Nothing that prroute writes is longer, in bytes.
pub(super) const MAX_SIZE: u64 = 64 << 20;

/// A file's type. Its field `schema` is this.
pub(super) trait Versioned: DeserializeOwned {
    const SCHEMA: &'static str;
}

/// Why a file is set aside.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is not a regular file")]
    NoFile,
    #[error("is longer than {} MiB", MAX_SIZE >> 20)]
    TooLong,
    #[error("is empty")]
    Empty,
    #[error("is damaged: {0}")]
    Damaged(serde_json::Error),
    #[error("was written by another version, as {0:?}")]
    OtherVersion(String),
    #[error("was written before this boot")]
    OtherBoot,
    #[error("was written in another network namespace")]
    OtherNamespace(Option<NetworkNamespace>),
}

impl Unusable {
    /// Whether the file may be right, but not here.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::OtherBoot | Self::OtherNamespace(_))
    }
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// # Errors
///
/// When the text is not what this version of prroute writes.
pub(super) fn parse<T: Versioned>(text: &[u8]) -> Result<T, Unusable> {
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    let Head { schema } = serde_json::from_slice(text).map_err(Unusable::Damaged)?;
    if schema != T::SCHEMA {
        return Err(Unusable::OtherVersion(schema.chars().take(40).collect()));
    }
    serde_json::from_slice(text).map_err(Unusable::Damaged)
}
