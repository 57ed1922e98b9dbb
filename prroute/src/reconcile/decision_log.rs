//! What the programs log, forwarded to the daemon's own log.

use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::reconcile::ReconcileError;

/// Reads the log for as long as the runtime runs.
pub(super) fn forward(log: EbpfLogger<&'static dyn log::Log>) -> Result<(), ReconcileError> {
    // SAFETY: the log owns its map's descriptor, returns the same one from every call, and is
    // not replaced while the AsyncFd, which owns it, lives.
    let mut log = unsafe { AsyncFd::register_with_interest(log, Interest::READABLE) }
        .map_err(|error| ReconcileError::DecisionLog(error.into()))?;
    tokio::spawn(async move {
        while let Ok(mut ready) = log.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
