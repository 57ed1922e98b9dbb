//! The `prroute` command.

use std::process::ExitCode;

use clap::Parser as _;
use prroute::cli::Cli;
use prroute::cmd;

fn main() -> ExitCode {
    cmd::dispatch(Cli::parse())
}
