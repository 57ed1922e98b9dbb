//! One module per command, and what they have in common: logging, errors, exit codes.

mod belongs;
mod cached;
mod check;
mod doctor;
mod down;
mod events;
mod explain;
mod export;
mod flows;
mod import;
mod log;
mod metrics;
mod monitor;
mod namespaces;
mod not_running;
mod output;
mod plan;
mod reload;
mod report;
mod run;
mod session;
mod setup;
mod socket;
mod status;
mod tables;
mod trial;
mod version;
mod wait;
mod wrapped;

pub use belongs::{Abandoned, Elsewhere};
pub use explain::Unread;
pub use flows::FilterError;
pub use not_running::NotRunning;
pub use output::OutputError;
pub use reload::Refused;
pub use socket::{NoSocket, NotAllowed};

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use crate::capability::MissingCapabilities;
use crate::causes::with_causes;
use crate::cli::{Cli, Command, DeviceError};
use crate::config::{ConfigError, SAMPLE};
use crate::datapath::DatapathError;
use crate::explain::QuestionError;
use crate::http::client::AskError;
use crate::managers::networkd::SetupError;
use crate::reconcile::ReconcileError;
use crate::runtime::{LockError, RuntimeError};

/// Exit codes, the same for every command (sysexits(3) for the last).
mod code {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const NOT_RUNNING: u8 = 3;
    pub(super) const PERMISSION: u8 = 4;
    pub(super) const UNKNOWN: u8 = 5;
    pub(super) const WARNINGS: u8 = 5;
    pub(super) const CONFIG: u8 = 78;
}

/// The daemon runs, but what it reports cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the daemon of instance {0} runs, but its report cannot be read")]
pub struct NoReport(pub crate::instance::Instance);

/// `doctor` found nothing worse than warnings, and said so.
#[derive(Debug, thiserror::Error)]
#[error("warnings: {0}")]
pub struct Warnings(pub usize);

/// Runs the command of the command line and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    // Answers the shell, and ends, where COMPLETE names one.
    CompleteEnv::with_factory(Cli::command).complete();
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli),
        Err(answer) => output::clap(&answer),
    }
}

fn dispatch(cli: Cli) -> ExitCode {
    log::begin();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Try(args) => trial::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Metrics(args) => within_runtime(metrics::run(&args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Wait(args) => within_runtime(wait::run(&args)),
        Command::Flows(args) => within_runtime(flows::run(&args)),
        Command::Explain(args) => within_runtime(explain::run(&args)),
        Command::Events(args) => within_runtime(events::run(&args)),
        Command::Monitor(args) => within_runtime(monitor::run(&args)),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(command) => export::run(&command),
        Command::GenerateConfig => output::text(SAMPLE).map_err(Into::into),
        Command::Schema(args) => output::json(&args.what.schema()),
        Command::Setup(command) => setup::run(&command),
        Command::Version(args) => version::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<OutputError>() {
            Some(error) => output::failed(error),
            None => {
                output::failure(with_causes(error.as_ref()));
                ExitCode::from(code_of(&error))
            }
        },
    }
}

fn within_runtime(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        let refused = cause.downcast_ref::<Refused>();
        let unfit = cause.downcast_ref::<ReconcileError>().is_some_and(ReconcileError::is_unfit)
            || cause.downcast_ref::<DatapathError>().is_some_and(DatapathError::is_old_kernel);
        if unfit
            || cause.is::<ConfigError>()
            || refused.is_some_and(|refused| refused.configuration)
        {
            return code::CONFIG;
        }
        if cause.is::<NotRunning>() || cause.is::<Abandoned>() {
            return code::NOT_RUNNING;
        }
        if cause.is::<FilterError>() || cause.is::<QuestionError>() || cause.is::<DeviceError>() {
            return code::USAGE;
        }
        if cause.is::<Warnings>() {
            return code::WARNINGS;
        }
        let is_unknown = cause.is::<NoReport>()
            || cause.is::<NoSocket>()
            || cause.is::<AskError>()
            || cause.is::<Unread>();
        if is_unknown {
            return code::UNKNOWN;
        }
        let denied = cause.is::<MissingCapabilities>()
            || cause.is::<NotAllowed>()
            || cause
                .downcast_ref::<ReconcileError>()
                .is_some_and(ReconcileError::is_permission_denied)
            || cause.downcast_ref::<SetupError>().is_some_and(SetupError::is_permission_denied)
            || cause
                .downcast_ref::<RuntimeError>()
                .is_some_and(|error| error.source.kind() == std::io::ErrorKind::PermissionDenied)
            || cause.downcast_ref::<LockError>().is_some_and(LockError::is_permission_denied)
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

#[cfg(test)]
mod tests {
    use super::{DatapathError, ReconcileError, code, code_of};
    use crate::reconcile::attachments::Unfit;

    /// systemd does not start it again and again.
    #[test]
    fn a_kernel_that_is_too_old_ends_it_as_a_mistake_in_the_configuration_does() {
        let missing = "bpf_redirect_neigh (Linux 5.10)".to_owned();
        let refused = ReconcileError::from(DatapathError::OldKernel { missing: missing.clone() });
        let several = ReconcileError::Several { first: refused.into(), further: Vec::new() };
        let planned = ReconcileError::from(Unfit::Features(missing.clone()));
        for error in [several, planned] {
            assert_eq!(code_of(&error.into()), code::CONFIG);
        }
        let trial = DatapathError::OldKernel { missing };
        assert_eq!(code_of(&trial.into()), code::CONFIG);
        assert_eq!(code_of(&DatapathError::NoCgroup2.into()), code::FAILED);
    }

    #[test]
    fn the_page_of_commands_has_the_exit_codes() {
        let page = include_str!("../../../docs/commands.md");
        let (_, table) = page.split_once("| code | means |").unwrap();
        let rows =
            table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.split(' ').next());
        let explained: Vec<u8> = rows.map(|code| code.parse().unwrap()).collect();
        let mut codes = vec![
            0,
            code::FAILED,
            code::USAGE,
            code::NOT_RUNNING,
            code::PERMISSION,
            code::UNKNOWN,
            code::WARNINGS,
            code::CONFIG,
        ];
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(explained, codes);
    }
}
