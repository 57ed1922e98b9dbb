//! What goes through a host while it is measured.

pub(crate) mod flood;
pub(crate) mod forward;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod two_cpus;
pub(crate) mod udp;

use std::time::Duration;

/// An answer that takes longer is lost.
const ANSWER: Duration = Duration::from_secs(2);

/// Bytes of a request and of a response.
const PAYLOAD: [u8; 64] = [7; 64];
