//! # prroute
//!
//! Makes a multi-homed host answer on the interface it was asked on. The library holds
//! everything; the binary only calls it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod build;
pub mod capability;
mod causes;
pub mod cli;
pub mod cmd;
mod complete;
pub mod config;
pub mod datapath;
mod examine;
mod explain;
mod export;
mod family;
mod http;
pub mod import;
pub mod instance;
mod json;
pub mod managers;
pub mod namespace;
pub mod netlink;
pub mod reconcile;
pub mod runtime;
pub mod state;
pub mod sysctl;
