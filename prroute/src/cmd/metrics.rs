//! `prroute metrics`.

mod exporter;
mod exposition;
mod figures;
mod gather;

use std::time::Duration;

use anyhow::Result;
use nix::unistd::Pid;

use self::figures::Figures;
use crate::cli::MetricsArgs;
use crate::cmd::{NotRunning, belongs, output, socket};
use crate::datapath::Pins;
use crate::instance::Instance;
use crate::runtime;

pub(super) async fn run(args: &MetricsArgs) -> Result<()> {
    let instance = &args.instance.instance;
    if let Some(address) = args.listen {
        return exporter::run(instance, address).await;
    }
    let metrics = Metrics::read(instance, socket::PATIENCE).await?;
    match &args.textfile {
        Some(path) => runtime::publish(path, exposition::prometheus(&metrics.text).as_bytes())?,
        None => output::text(&metrics.text)?,
    }
    // The figures are out, and say that no daemon runs; the code tells that nothing else is there or seen.
    if metrics.is_there { Ok(()) } else { Err(NotRunning::of(instance).into()) }
}

/// All metrics, as OpenMetrics.
struct Metrics {
    text: String,
    /// Something of prroute is there, as far as this process may see it.
    is_there: bool,
}

impl Metrics {
    /// From the kernel, or where that tells this process nothing from the daemon, which has so long for it.
    async fn read(instance: &Instance, limit: Duration) -> Result<Self> {
        if socket::is_needed()? {
            return match socket::ask(instance, "/v1/metrics", true, limit).await {
                Ok(answer) => Ok(Self { text: answer.body, is_there: true }),
                Err(error) if error.is::<NotRunning>() => Self::unseen(instance),
                Err(error) => Err(error),
            };
        }
        let found = belongs::find_present(instance, "metrics")?;
        if found.daemon.is_none() && !Pins::of(instance).has_any() {
            return Self::without(instance, Figures::default());
        }
        Ok(Self { text: of_kernel(instance, found.daemon).await?, is_there: true })
    }

    /// Of an instance without a daemon, as who has no privileges sees it.
    fn unseen(instance: &Instance) -> Result<Self> {
        Self::without(instance, Figures::unseen())
    }

    fn without(instance: &Instance, figures: Figures) -> Result<Self> {
        let text = exposition::open_metrics(instance, figures)?;
        Ok(Self { text, is_there: false })
    }
}

/// By a look at the kernel.
pub(super) async fn of_kernel(instance: &Instance, daemon: Option<Pid>) -> Result<String> {
    let figures = gather::figures(instance, daemon).await?;
    Ok(exposition::open_metrics(instance, figures)?)
}
