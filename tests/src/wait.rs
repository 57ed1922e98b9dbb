//! Waiting for conditions, never for luck.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(5);

/// `span`, times the whole number in `PRROUTE_PATIENCE`: an emulated processor is slower than the
/// one for which a deadline was written.
pub fn patience(span: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| {
        let given = std::env::var("PRROUTE_PATIENCE").unwrap_or_default();
        given.parse().ok().filter(|factor| *factor > 0).unwrap_or(1)
    });
    span * *factor
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes every wait fail after Ctrl-C, SIGTERM or a hangup, so that the lab is taken down on the
/// ordinary path instead of being left behind.
pub fn interrupt_on_signals() -> Result<()> {
    extern "C" fn interrupt(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler = SigHandler::Handler(interrupt);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which may be done at any moment.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("handle {signal}"))?;
    }
    Ok(())
}

/// An error once a signal asked for the end.
pub fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Looks until `look` finds something, and fails with `what` after `deadline` ([`patience`]
/// applies), or once a signal asked for the end.
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    until_done(what, deadline, || {
        check_interrupted()?;
        look()
    })
}

/// Likewise, but not to be interrupted: for taking things down.
pub fn until_done<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = patience(deadline);
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("not within {deadline:?}: {what}");
        }
        std::thread::sleep(POLL);
    }
}
