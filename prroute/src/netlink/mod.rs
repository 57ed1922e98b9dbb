//! The kernel's side of the routing plane: read it, change it, hear of changes.
//!
//! One socket requests ([`Kernel`]), another listens ([`Monitor`]): a burst of notifications
//! never delays an answer. Both belong to the network namespace of the thread that opened them.

mod apply;
#[doc(hidden)]
pub mod audit;
mod clsact;
pub mod conntrack;
mod decode;
mod device_name;
mod encode;
mod fingerprint;
mod hook_monitor;
mod interest;
mod lenient;
mod monitor;
mod neighbour_query;
mod neighbours;
mod netconf;
mod netfilter;
mod next_hop;
pub mod nftables;
mod read;
mod relevance;
mod request;
mod route_query;
pub mod sock_diag;
mod steady;
mod tables;
pub mod translated;
mod unreadable;

use std::io;

pub use apply::{Applied, ApplyError, OpError};
pub use clsact::{CLSACT, Direction, Filter};
pub use device_name::device_name;
pub use hook_monitor::HookMonitor;
pub use monitor::{Announced, Change, Monitor};
pub use neighbour_query::NeighbourAnswer;
pub use read::{MainRoutes, Wanted};
pub use request::{Refusal, is_transient};
pub use route_query::{RouteAnswer, RouteQuestion};
pub use tables::RoutesOfTables;
use tokio::sync::Mutex;

/// A netlink operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("{operation}: {source}")]
    Socket { operation: &'static str, source: io::Error },
    #[error("{operation}: {source}")]
    Refused { operation: String, source: Refusal },
}

impl NetlinkError {
    /// The capability `CAP_NET_ADMIN` is missing.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::Socket { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Refused { source, .. } => source.is_permission_denied(),
        }
    }
}

/// The routing state of one network namespace.
#[derive(Debug)]
pub struct Kernel {
    socket: Mutex<request::Socket>,
    steady: Mutex<steady::Steady>,
    filters: Mutex<nftables::Filters>,
}

impl Kernel {
    /// Opens the request socket in the calling thread's network namespace. Needs a running
    /// tokio runtime.
    #[expect(clippy::unused_async, reason = "registering with tokio needs a running runtime")]
    pub async fn connect() -> Result<Self, NetlinkError> {
        let source = |source| NetlinkError::Socket { operation: "open a netlink socket", source };
        let socket = request::Socket::open().map_err(source)?;
        Ok(Self { socket: Mutex::new(socket), steady: Mutex::default(), filters: Mutex::default() })
    }
}
