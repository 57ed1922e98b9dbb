//! One module per command, and what they have in common: logging, errors, exit codes.

mod down;
mod flows;
mod run;
mod status;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::capability::MissingCapabilities;
use crate::cli::{Cli, Command};
use crate::config::ConfigError;
use crate::datapath::DatapathError;
use crate::reconcile::ReconcileError;

/// Exit codes, the same for every command (sysexits(3) for the last).
mod code {
    pub(super) const FAILED: u8 = 1;
    pub(super) const NOT_RUNNING: u8 = 3;
    pub(super) const PERMISSION: u8 = 4;
    pub(super) const CONFIG: u8 = 78;
}

/// No daemon runs for this instance.
#[derive(Debug, thiserror::Error)]
#[error("instance {0} is not running")]
pub struct NotRunning(pub crate::instance::Instance);

/// Runs the command and turns its outcome into an exit code.
pub fn dispatch(cli: Cli) -> ExitCode {
    log_to_stderr();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Flows(args) => flows::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prroute: {}", describe(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

/// The error and its causes in one line. Library errors name their source themselves: a cause
/// that has been said is not said again.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<ConfigError>() {
            return code::CONFIG;
        }
        if cause.is::<NotRunning>() {
            return code::NOT_RUNNING;
        }
        let denied = cause.is::<MissingCapabilities>()
            || cause
                .downcast_ref::<ReconcileError>()
                .is_some_and(ReconcileError::is_permission_denied)
            || cause
                .downcast_ref::<DatapathError>()
                .is_some_and(DatapathError::is_permission_denied)
            || cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied);
        if denied {
            return code::PERMISSION;
        }
    }
    code::FAILED
}

/// Log lines go to stderr: data alone goes to stdout. The journal adds the time itself.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("PRROUTE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("prroute=info,warn"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .without_time()
        .init();
}
