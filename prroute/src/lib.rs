//! # prroute
//!
//! Makes a multi-homed host answer on the interface it was asked on. The library holds
//! everything; the binary only parses arguments.

pub mod datapath;
pub mod instance;
pub mod state;
