//! `prroute metrics`.

mod exposition;
mod figures;
mod gather;

use anyhow::Result;

use self::figures::Figures;
use crate::cli::MetricsArgs;
use crate::cmd::{NotRunning, belongs, output};
use crate::datapath::Pins;
use crate::runtime;

pub(super) fn run(args: &MetricsArgs) -> Result<()> {
    let instance = &args.instance.instance;
    crate::capability::require()?;
    let found = belongs::find_present(instance, "metrics")?;
    let is_there = found.daemon.is_some() || Pins::of(instance).has_any();
    let figures = if is_there {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(gather::figures(instance, found.daemon))?
    } else {
        Figures::default()
    };
    let text = exposition::open_metrics(instance, figures)?;
    match &args.textfile {
        Some(path) => runtime::publish(path, exposition::prometheus(&text).as_bytes())?,
        None => output::text(&text)?,
    }
    // The figures are out, and say that no daemon runs; the code tells that nothing else is there.
    if is_there { Ok(()) } else { Err(NotRunning(instance.clone()).into()) }
}
