//! What one instance keeps below `/run/prroute/NAME/`: its lock, and what must be remembered to
//! undo everything, also after the daemon was killed.

mod directory;
mod lock;
pub mod memory;

pub use directory::{RunDirectory, RuntimeError};
pub use lock::{InstanceLock, LockError, NamespaceLock};
pub use memory::Memory;
