//! `prroute down`.

use anyhow::Result;

use crate::cli::InstanceArgs;
use crate::cmd::{belongs, output};
use crate::config::Ranges;
use crate::datapath::Pins;
use crate::netlink::Kernel;
use crate::reconcile::undo;
use crate::runtime::{
    self, InstanceLock, NamespaceLock, Records, RunDirectory, STOP_PATIENCE, Stopped, restart, unit,
};

pub(super) fn run(args: &InstanceArgs) -> Result<()> {
    crate::capability::require()?;
    let pins = Pins::of(&args.instance);
    let found = belongs::find(&args.instance, "down")?;
    let directory = RunDirectory::of(&args.instance);
    let unit = found.daemon.and_then(unit::of_process);
    let before = directory.read_report().usable().and_then(|report| report.started_by);
    let unit = unit.or_else(|| unit::that_starts(&args.instance, before.as_ref()));
    // It may start one also where the last daemon was somebody's command.
    let unit = unit.or_else(|| unit::of_package(&args.instance));
    let stopped = runtime::stop(&directory)?;
    if let Stopped::Killed(pid) = stopped {
        let limit = STOP_PATIENCE.as_secs();
        output::remark(format_args!(
            "the daemon (pid {pid}) did not stop within {limit} s; killed it"
        ));
    }
    if let Some(unit) = unit
        && restart::prevent(&unit)?
    {
        output::remark(format_args!("systemd was about to start the daemon again: stopped {unit}"));
    }
    let _namespace_lock =
        found.has_bpffs.then(|| NamespaceLock::acquire(found.namespace)).transpose()?;
    directory.create()?;
    let _instance_lock = InstanceLock::acquire(&directory)?;
    if found.abandoned {
        // Rules, routes and devices went with their network namespace.
        pins.remove()?;
        directory.remove()?;
        return Ok(output::line(
            "removed the datapath of a network namespace that no longer exists",
        )?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let records = Records::take(&directory, Ranges::default(), pins.is_present());
    let undone = runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        undo(&kernel, &pins, &directory, records).await.map_err(anyhow::Error::from)
    })?;
    let stopped = stopped != Stopped::NotRunning;
    if stopped {
        output::line("stopped the daemon")?;
    }
    if undone.datapath {
        output::line("removed the datapath")?;
    }
    match undone.operations {
        0 if !stopped && !undone.datapath => output::line("nothing to undo")?,
        0 => {}
        count => output::line(format_args!(
            "undid {count} changes of rules, routes, neighbour \
                                            entries and sysctls"
        ))?,
    }
    Ok(())
}
