//! The `prroute` command.

use std::process::ExitCode;

use prroute::cmd;

fn main() -> ExitCode {
    cmd::main()
}
