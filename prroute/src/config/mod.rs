//! The configuration: raw (as written) -> validated [`Config`].
//!
//! Without any file, every uplink that is found is managed with the defaults.

mod error;
mod fields;
mod files;
mod lacking;
mod load;
mod pattern;
mod raw;
mod schema;
mod source;
mod stamp;
mod text;
mod validated;
mod values;
mod whole;

pub use error::{ConfigError, Mistake};
pub use files::Directories;
pub use pattern::Pattern;
pub use schema::schema;
pub(crate) use source::mac_address;
pub use stamp::FileStamp;
pub use validated::{
    Config, DEFAULT_RULE_PRIORITY, DEFAULT_TABLE, PRIORITY_MAIN, RANGE, Ranges, Selector,
    UplinkConfig,
};
pub use values::{Attach, Mode, OnDown, OnStop, OwnSource, Reply, RpFilter};

/// A documented configuration file in which every default is visible.
pub const SAMPLE: &str = include_str!("sample.toml");
