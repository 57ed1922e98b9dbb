//! `prroute down`.

use anyhow::Result;

use crate::cli::InstanceArgs;
use crate::cmd::output;
use crate::datapath::Pins;
use crate::netlink::Kernel;
use crate::reconcile::undo;
use crate::runtime::{InstanceLock, RunDirectory};

pub(super) fn run(args: &InstanceArgs) -> Result<()> {
    crate::capability::require()?;
    let pins = Pins::of(&args.instance);
    let directory = RunDirectory::of(&args.instance);
    directory.create()?;
    let (_lock, stopped) = InstanceLock::take_over(&directory, |pid| {
        output::remark(format_args!("the daemon (pid {pid}) does not stop; killing it"));
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let undone = runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        undo(&kernel, &pins, &directory).await.map_err(anyhow::Error::from)
    })?;
    if stopped {
        output::line("stopped the daemon")?;
    }
    if undone.datapath {
        output::line("removed the datapath")?;
    }
    match undone.operations {
        0 if !stopped && !undone.datapath => output::line("nothing to undo")?,
        0 => {}
        count => output::line(format_args!("took back {count} rules, routes and settings"))?,
    }
    Ok(())
}
