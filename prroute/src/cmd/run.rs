//! `prroute run`.

use anyhow::{Context as _, Result};

use crate::cli::RunArgs;
use crate::cmd::session::{Session, Setup};
use crate::cmd::{belongs, plan};
use crate::config::{Config, FileStamp, Mode, OnStop};
use crate::netlink::Kernel;
use crate::reconcile::{Reconciler, Stop};
use crate::runtime::{Records, RunDirectory};

pub(super) fn run(args: &RunArgs) -> Result<()> {
    let read = FileStamp::of_configuration(args.config.as_deref())?;
    let mut config = Config::load(args.config.as_deref())?;
    if args.observe {
        config.mode = Mode::Observe;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        if args.dry_run { dry_run(args, config).await } else { manage(args, config, read).await }
    })
}

async fn dry_run(args: &RunArgs, config: Config) -> Result<()> {
    belongs::find_present(&args.instance.instance, "run --dry-run")?;
    let kernel = Kernel::connect().await?;
    let instance = &args.instance.instance;
    let records = Records::read(&RunDirectory::of(instance), config.ranges);
    let reconciler = Reconciler::for_one_look(config, instance, kernel, records);
    plan::show(&reconciler, false).await
}

async fn manage(args: &RunArgs, config: Config, read: Vec<FileStamp>) -> Result<()> {
    let setup = Setup {
        instance: &args.instance.instance,
        command: "run",
        config,
        config_file: args.config.as_deref(),
        read,
        observe: args.observe,
        log_packets: args.log_packets,
    };
    let mut session = Session::prepare(setup).await?.start().await?;
    let Stop::Signal(signal) = session.daemon.follow().await?;
    if args.undo_on_exit || session.daemon.config().on_stop == OnStop::Undo {
        tracing::info!(event = "stopping", "{signal}: undoing everything");
        session.undo().await.context("undo on exit")?;
    } else {
        tracing::info!(
            event = "stopping",
            "{signal}: stopping; the datapath stays (`prroute down` removes it)"
        );
    }
    Ok(())
}
