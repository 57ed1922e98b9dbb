//! What all files of an instance have in common: JSON with a version, and what is wrong with one
//! that cannot be used.

use std::io;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::namespace::NetworkNamespace;

/// Nothing that prroute writes is longer, in bytes.
pub(super) const MAX_SIZE: u64 = 64 << 20;

/// A file's type. Its field `schema` is this: a name, and behind the last slash a number that is raised
/// when a field changes its meaning or is no longer written. What was written under another number is
/// read as far as it is known: so an upgrade and a downgrade undo what the other version did. A new
/// field has a default, for files without it.
pub(super) trait Versioned: DeserializeOwned {
    const SCHEMA: &'static str;
    /// Whether a file of this very schema is damaged when it has a field more.
    const EXACT: bool;
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) value: T,
    /// Fields that only the version knows that wrote it.
    pub(super) unknown: Vec<String>,
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
/// When the text is not what prroute writes, or what another version wrote lacks something.
pub(super) fn parse<T: Versioned>(text: &[u8]) -> Result<Parsed<T>, Unusable> {
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    let Head { schema } = serde_json::from_slice(text).map_err(Unusable::Damaged)?;
    let other_version = || Unusable::OtherVersion(schema.chars().take(40).collect());
    let is_own = schema == T::SCHEMA;
    if !is_own && (name(&schema).is_none() || name(&schema) != name(T::SCHEMA)) {
        return Err(other_version());
    }
    let mut unknown = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_ignored::deserialize(&mut json, |path| unknown.push(path.to_string()));
    let value = value.and_then(|value| json.end().map(|()| value));
    match value {
        Err(_) if !is_own => Err(other_version()),
        Err(error) => Err(Unusable::Damaged(error)),
        Ok(_) if is_own && T::EXACT && !unknown.is_empty() => {
            let what = format!("unknown field {}", unknown.join(", "));
            Err(Unusable::Damaged(serde_json::Error::custom(what)))
        }
        // A report may have fields that this version does not know.
        Ok(value) if is_own => Ok(Parsed { value, unknown: Vec::new() }),
        Ok(value) => Ok(Parsed { value, unknown }),
    }
}

/// A schema without its number.
fn name(schema: &str) -> Option<&str> {
    let (name, number) = schema.rsplit_once('/')?;
    number.parse::<u32>().ok().map(|_| name)
}
