//! What one instance keeps below `/run/prroute/NAME/`: its lock; the journal of what must be undone,
//! also after the daemon was killed; and what the daemon reports. And below `/var/lib/prroute/NAME/` the
//! ids of uplinks, which outlive a boot.

mod clock;
mod directory;
mod files;
mod format;
mod ids;
pub mod journal;
mod lock;
mod namespace_lock;
mod origin;
mod process;
mod records;
pub mod report;
pub(crate) mod restart;
pub mod socket;
mod stop;
mod store;
pub(crate) mod unit;

pub(crate) use clock::{seconds_since_1970, since_boot};
pub use directory::{Found, RunDirectory};
pub use files::RuntimeError;
pub(crate) use files::{publish, publish_private};
pub use format::Unusable;
pub use journal::Journal;
pub use lock::{InstanceLock, LockError};
pub use namespace_lock::NamespaceLock;
pub use origin::Origin;
pub use process::{is_stopped, uptime};
pub use records::Records;
pub use report::DaemonReport;
pub use stop::{PATIENCE as STOP_PATIENCE, Stopped, stop};
pub use store::Store;

#[cfg(test)]
mod tests;
