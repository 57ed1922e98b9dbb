//! What happens in months, in minutes: reloads, links that flap, flows that come and go and are forgotten, a
//! daemon that hangs. Nothing grows, nothing is lost, nothing leaves by the wrong uplink.

mod flaps;
mod hanging;
mod holdings;
mod packet;
mod reloads;
mod soak;

use anyhow::{Context as _, Result};

/// What an environment variable says of how much is done, or `usual` without it.
fn number_of(variable: &str, usual: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(given) => given.parse().with_context(|| format!("{variable}={given}: no number")),
        Err(_) => Ok(usual),
    }
}
