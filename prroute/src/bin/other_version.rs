//! The `prroute` command as another version would be, for tests of upgrade and downgrade.

use std::process::ExitCode;

use prroute::cmd;

fn main() -> ExitCode {
    cmd::main()
}
