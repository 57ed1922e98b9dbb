//! Waiting for conditions, never for luck.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(5);

/// `span`, and more of it on a machine that takes longer for everything: times the whole number in
/// `PRROUTE_PATIENCE` where processors are emulated; elsewhere times what each processor has had to
/// do in the last minute, where that is more than the suite's own two cases.
pub fn patience(span: Duration) -> Duration {
    static GIVEN: OnceLock<Option<u32>> = OnceLock::new();
    let given = GIVEN.get_or_init(|| {
        let given = std::env::var("PRROUTE_PATIENCE").unwrap_or_default();
        given.parse().ok().filter(|factor| *factor > 0)
    });
    given.map_or_else(|| span.mul_f64(crowd()), |factor| span * factor)
}

/// [`patience`] for a program that takes whole seconds: of a part of one, all.
pub fn whole_seconds(span: Duration) -> u64 {
    let patience = patience(span);
    patience.as_secs() + u64::from(patience.subsec_nanos() > 0)
}

/// How many times as many processes want to run as two for each processor: 1 to 4.
fn crowd() -> f64 {
    const AT_ONCE: f64 = 2.0;
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cpus = f64::from(u32::try_from(cpus).unwrap_or(u32::MAX));
    (minute / (AT_ONCE * cpus)).clamp(1.0, 4.0)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes every wait fail after Ctrl-C, SIGTERM or a hangup, so that the lab is taken down on the
/// ordinary path instead of being left behind. A hangup that is ignored (nohup) stays so.
pub fn interrupt_on_signals() -> Result<()> {
    extern "C" fn interrupt(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler = SigHandler::Handler(interrupt);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which may be done at any moment.
        let before = unsafe { sigaction(signal, &action) };
        let before = before.with_context(|| format!("handle {signal}"))?;
        if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
            // SAFETY: it was in force until now.
            unsafe { sigaction(signal, &before) }.with_context(|| format!("ignore {signal}"))?;
        }
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
    let start = Instant::now();
    loop {
        // What the time has run out for is looked at once more.
        let waited = start.elapsed();
        if let Some(found) = look()? {
            return Ok(found);
        }
        if waited > deadline && waited > patience(deadline) {
            bail!("not within {waited:.1?}: {what}");
        }
        std::thread::sleep(POLL);
    }
}
