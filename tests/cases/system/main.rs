//! prroute on a Debian 12 that boots systemd, as its package would install it: `cargo xtask vm
//! --system` runs these cases in a guest, one after the other.

mod service;
mod unit;
