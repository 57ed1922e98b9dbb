//! Cases beside which no others run. Thousands of routes and addresses keep the lock that the kernel
//! has for all namespaces (RTNL) taken for seconds, and a CPU busy: labs beside them would be late.
//! Programs of tests run one after the other; within this one, a case waits for its [`turn`].

mod crowded;
mod large_host;
mod route_flaps;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The turn of a case, until the guard is dropped.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A case that panicked has had its turn.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
