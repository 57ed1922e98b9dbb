//! `prroute setup`: what others must be told once.

use anyhow::{Result, bail};

use crate::cli::{SetupCommand, SetupNetworkdArgs};
use crate::cmd::output;
use crate::managers::Machine;
use crate::managers::networkd::{DROP_IN, DROP_IN_TEXT, Foreign, write_drop_in};

pub(super) fn run(command: &SetupCommand) -> Result<()> {
    match command {
        SetupCommand::Networkd(args) => networkd(args),
    }
}

fn networkd(args: &SetupNetworkdArgs) -> Result<()> {
    if args.dry_run {
        return Ok(output::text(&format!("# {DROP_IN}\n{DROP_IN_TEXT}"))?);
    }
    let machine = Machine::default();
    let outcome = if write_drop_in(&machine)? {
        format!("wrote {DROP_IN}; it takes effect with: systemctl restart systemd-networkd")
    } else {
        format!("{DROP_IN} is there already")
    };
    output::line(outcome)?;
    if Foreign::effective(&machine).is_any() {
        bail!("another file in a networkd.conf.d overrides {DROP_IN}: see networkd.conf(5)");
    }
    Ok(())
}
