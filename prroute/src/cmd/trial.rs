//! `prroute try`: enforces until somebody confirms, and undoes everything otherwise.
//!
//! Nobody guards this process: when it is killed (SIGKILL), what it made stays, and `prroute status` says
//! UNWATCHED, as after any daemon that was killed.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::termios::{FlushArg, tcflush};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli::TryArgs;
use crate::cmd::session::{Session, Setup};
use crate::cmd::{belongs, output};
use crate::config::{Config, FileStamp, Mode};
use crate::datapath::Pins;
use crate::instance::Instance;
use crate::reconcile::{Outlook, Stop};
use crate::runtime::{RunDirectory, unit};

/// A longer line is cut: only its end matters.
const LONGEST_LINE: u64 = 4096;

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    Confirmed,
    /// There is nothing to decide.
    TooFew(usize),
    TimeOver(Duration),
    EndOfInput,
    /// The session broke, or somebody sent it.
    HangUp,
    Signal(&'static str),
}

pub(super) fn run(args: &TryArgs) -> Result<()> {
    let read = FileStamp::of_configuration(args.config.as_deref())?;
    let config = Config::load(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(attempt(args, config, read))
}

async fn attempt(args: &TryArgs, config: Config, read: Vec<FileStamp>) -> Result<()> {
    let instance = &args.instance.instance;
    refuse(instance)?;
    // From here on a session that breaks does not end this process: it has something to undo.
    let mut hang_up = signal(SignalKind::hangup()).context("catch SIGHUP")?;
    ignore_stops().context("ignore SIGTSTP")?;
    let configured = config.mode;
    let setup = Setup {
        instance,
        command: "try",
        config: Config { mode: Mode::Enforce, ..config },
        config_file: args.config.as_deref(),
        read,
        observe: false,
        log_packets: false,
    };
    let mut session = Session::prepare(setup).await?;
    session.daemon.is_trial();
    let mut session = session.start().await?;
    let ending = hold(&mut session, args.time, &mut hang_up).await;
    if matches!(ending, Ok(Ending::Confirmed)) {
        output::remark(kept(args, configured));
        return Ok(());
    }
    session.undo().await.context("undo what was tried")?;
    match ending {
        Ok(ending) => bail!("{ending}; everything is undone"),
        Err(error) => Err(error.context("everything is undone")),
    }
}

/// A process that is stopped undoes nothing, whether by Ctrl-Z or because it asks in the background.
fn ignore_stops() -> nix::Result<()> {
    use nix::sys::signal::{SigHandler, Signal};
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        // SAFETY: a signal that is ignored runs no code of this process.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Refuses where something is in force already.
fn refuse(instance: &Instance) -> Result<()> {
    let found = belongs::find(instance, "try")?;
    let Some(pid) = found.daemon else {
        if Pins::of(instance).has_any() && !found.abandoned {
            bail!(
                "what an earlier prroute made is in force, and nobody watches it: `prroute down` removes \
                 it, then try again"
            );
        }
        return Ok(());
    };
    let report = RunDirectory::of(instance).read_report().usable();
    let observes = report.is_some_and(|report| {
        report.observe || report.programs.as_ref().is_some_and(|ids| ids.observe)
    });
    match observes {
        true => bail!(
            "prroute (pid {pid}) runs here and only observes: `prroute down` ends it, then try again; or \
             set mode = \"enforce\" and run `prroute reload`, which also goes back"
        ),
        false => bail!("prroute (pid {pid}) runs here and enforces: there is nothing to try"),
    }
}

/// Asks, and follows the network until there is an answer, or none.
async fn hold(session: &mut Session, time: Duration, hang_up: &mut Signal) -> Result<Ending> {
    let outlook = session.daemon.look().await?;
    if outlook.uplinks.len() < 2 {
        return Ok(Ending::TooFew(outlook.uplinks.len()));
    }
    let stdin = io::stdin();
    let is_terminal = stdin.is_terminal();
    if is_terminal {
        // What was typed before the question is no answer to it.
        tcflush(&stdin, FlushArg::TCIFLUSH).context("empty the terminal's input")?;
    }
    output::remark(done(&outlook));
    output::remark(question(time, is_terminal));
    let line = next_line();
    let end = async {
        tokio::select! {
            biased;
            _ = hang_up.recv() => Ending::HangUp,
            line = line => match line {
                Ok(true) => Ending::Confirmed,
                Ok(false) | Err(_) => Ending::EndOfInput,
            },
            () = tokio::time::sleep(time) => Ending::TimeOver(time),
        }
    };
    Ok(match session.daemon.follow_until(end).await? {
        Stop::Signal(signal) => Ending::Signal(signal),
        Stop::End(ending) => ending,
    })
}

/// Whether a line comes before the end of standard input. Whoever reads it may wait for ever: the end of the
/// process ends it.
fn next_line() -> oneshot::Receiver<bool> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = Vec::new();
        let read = io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line);
        // Nobody may wait for it any more.
        sender.send(read.is_ok() && line.ends_with(b"\n")).unwrap_or_default();
    });
    receiver
}

fn done(outlook: &Outlook) -> String {
    let uplinks = &outlook.uplinks;
    let names: Vec<&str> = uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    format!(
        "replies leave by the uplink that their request came in on: {} uplinks ({}), {} rules, {} routes",
        names.len(),
        names.join(", "),
        outlook.desired.rules.len(),
        outlook.desired.routes.len()
    )
}

fn question(time: Duration, is_terminal: bool) -> String {
    let answer = if is_terminal { "press Enter" } else { "write a line to standard input" };
    format!("to keep it, {answer} within {} s; otherwise everything is undone", time.as_secs_f64())
}

/// What is still to be done by who has confirmed.
fn kept(args: &TryArgs, configured: Mode) -> String {
    let start = unit::first_start(&args.instance.instance);
    let first = match (configured, &args.config) {
        (Mode::Observe, _) => "; the configuration says mode = \"observe\": change that first",
        (Mode::Enforce, Some(_)) => " with this configuration",
        (Mode::Enforce, None) => "",
    };
    format!(
        "kept: it works on as it is now, and nobody follows what changes until a daemon runs: {start}{first}"
    )
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("confirmed"),
            Self::TooFew(count) => {
                write!(f, "too few uplinks ({count}): two are needed to try anything")
            }
            Self::TimeOver(time) => write!(f, "nobody confirmed within {} s", time.as_secs_f64()),
            Self::EndOfInput => f.write_str("standard input ended without a line"),
            Self::HangUp => f.write_str("SIGHUP: the session ended"),
            Self::Signal(signal) => f.write_str(signal),
        }
    }
}
