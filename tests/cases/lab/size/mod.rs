//! Uplinks of different sizes: what leaves by a smaller uplink than the host would have taken
//! arrives all the same.

mod containers;
mod local;
mod sizes;
mod transfer;
