//! `prroute status`.

mod age;
mod brief;
mod details;
mod gather;
mod text;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::StatusArgs;
use crate::cmd::{NoReport, NotRunning, belongs, output};
use crate::datapath::Pins;
use crate::examine::Examination;
use crate::instance::Instance;
use crate::json::{HealthJson, StatusJson};

/// The daemon runs, and not all is well; the report has said what.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance} is {health}")]
struct Unwell {
    instance: Instance,
    health: HealthJson,
}

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some(period) = args.watch else { return runtime.block_on(show(args)) };
    loop {
        if let Err(error) = runtime.block_on(show(args)) {
            let is_a_state = error.is::<Unwell>() || error.is::<NotRunning>();
            if !is_a_state && !error.is::<NoReport>() {
                return Err(error);
            }
        }
        std::thread::sleep(Duration::from_secs(period.into()));
        if !args.brief {
            output::line("")?;
        }
    }
}

async fn show(args: &StatusArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let found = belongs::find_present(instance, "status")?;
    let pins = Pins::of(instance);
    if found.daemon.is_none() && !pins.has_any() {
        return Err(NotRunning(instance.clone()).into());
    }
    let examined = Examination::of(instance, found.daemon).await?;
    let mut report = gather::report(instance, &examined, &pins)?;
    if let [dev, uplink] = args.uplink.as_slice() {
        if dev != "dev" {
            bail!("{dev:?} is no option: an uplink is given as `dev {uplink}`");
        }
        keep_only(&mut report, uplink)?;
    }
    if args.json {
        output::json(&report)?;
    } else if args.brief {
        output::line(brief::line(&report))?;
    } else {
        output::text(&text::Text { report: &report, shown: text::Shown::of(args) }.to_string())?;
    }
    // The report is out; the code still tells scripts.
    if examined.daemon.is_none() {
        return Err(NotRunning(instance.clone()).into());
    }
    if !examined.is_reported {
        return Err(NoReport(instance.clone()).into());
    }
    match report.health {
        HealthJson::Ok => Ok(()),
        health => Err(Unwell { instance: instance.clone(), health }.into()),
    }
}

/// What is about one uplink. The health is still that of the whole.
fn keep_only(report: &mut StatusJson, name: &str) -> Result<()> {
    report.uplinks.retain(|it| it.uplink.name == name);
    let is_its = |device: Option<&str>| device == Some(name);
    report.findings.retain(|it| is_its(it.device.as_deref()));
    report.skipped.retain(|it| it.name == name);
    if report.uplinks.is_empty() && report.skipped.is_empty() {
        bail!("there is no interface {name:?}");
    }
    Ok(())
}
