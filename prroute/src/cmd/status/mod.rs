//! `prroute status`.

mod age;
mod brief;
mod details;
mod form;
mod gather;
mod observed;
mod rates;
mod rows;
mod text;

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::Pid;

pub(super) use self::form::Form;
pub(super) use self::rates::Look;
use crate::causes::with_causes;
use crate::cli::StatusArgs;
use crate::cmd::{NoReport, NotRunning, belongs, output, socket};
use crate::datapath::Pins;
use crate::examine::Examination;
use crate::http::UNREPORTED;
use crate::instance::Instance;
use crate::json::{HealthJson, StatusJson};

/// The daemon runs, and not all is well; the report has said what.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance} is {health}")]
struct Unwell {
    instance: Instance,
    health: String,
}

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let form = Form::of(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut last = None;
    let mut show = || runtime.block_on(show(&args.instance.instance, &form, args.json, &mut last));
    let Some(period) = args.watch else { return show() };
    loop {
        if !args.brief && !args.json {
            output::begin_again()?;
        }
        if let Err(error) = show() {
            let is_told = error.is::<Unwell>() || error.is::<NoReport>();
            match error {
                _ if is_told => {}
                error if socket::is_gone(&error) => {
                    output::failure(with_causes(error.as_ref()));
                }
                error => return Err(error),
            }
        }
        std::thread::sleep(Duration::from_secs(period.into()));
    }
}

/// `last` is the look before, and then this one.
async fn show(instance: &Instance, form: &Form, json: bool, last: &mut Option<Look>) -> Result<()> {
    if socket::is_needed()? {
        return ask(instance, form, json).await;
    }
    let found = belongs::find_present(instance, "status")?;
    if found.daemon.is_none() && !Pins::of(instance).has_any() {
        return Err(NotRunning::of(instance).into());
    }
    let mut seen = look(instance, found.daemon).await?;
    *last = Some(Look::follow(last.as_ref(), &mut seen.report, Instant::now()));
    let report = form.select(seen.report)?;
    match json {
        true => output::json(&report)?,
        false => output::text(&form.text(&report))?,
    }
    // The report is out; the code still tells scripts.
    if found.daemon.is_none() {
        return Err(NotRunning::of(instance).into());
    }
    if !seen.is_reported {
        return Err(NoReport(instance.clone()).into());
    }
    judge(instance, &report.health.to_string())
}

/// Shows what the daemon answers.
async fn ask(instance: &Instance, form: &Form, json: bool) -> Result<()> {
    let target = format!("/v1/status?{}", form.query()?);
    let answer = socket::ask_here(instance, &target, !json, socket::PATIENCE).await?;
    match json {
        true => output::written_json(&answer.body)?,
        false => output::text(&answer.body)?,
    }
    if answer.health.as_deref() == Some(UNREPORTED) {
        return Err(NoReport(instance.clone()).into());
    }
    judge(instance, answer.health.as_deref().unwrap_or_default())
}

fn judge(instance: &Instance, health: &str) -> Result<()> {
    if health == HealthJson::Ok.to_string() {
        return Ok(());
    }
    Err(Unwell { instance: instance.clone(), health: health.to_owned() }.into())
}

/// What there is to tell.
pub(super) struct Seen {
    pub(super) report: StatusJson,
    /// The daemon's own report was there.
    pub(super) is_reported: bool,
}

/// Looks at the kernel.
pub(super) async fn look(instance: &Instance, daemon: Option<Pid>) -> Result<Seen> {
    let examined = Examination::of(instance, daemon).await?;
    let report = gather::report(instance, &examined, &Pins::of(instance))?;
    Ok(Seen { report, is_reported: examined.is_reported })
}
