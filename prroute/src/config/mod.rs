//! The configuration: raw (as written) -> validated [`Config`].
//!
//! Without any file, every uplink that is found is managed with the defaults.

mod error;
mod load;
mod pattern;
mod raw;
mod validated;

pub use error::ConfigError;
pub use pattern::Pattern;
pub use validated::{
    Attach, Config, DEFAULT_RULE_PRIORITY, DEFAULT_TABLE, OnStop, RANGE, Ranges, Reply, RpFilter,
    UplinkConfig,
};
