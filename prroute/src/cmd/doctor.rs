//! `prroute doctor`.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::utsname::uname;
use tokio::runtime::Runtime;

use crate::causes::with_causes;
use crate::cli::DoctorArgs;
use crate::cmd::wrapped::wrapped;
use crate::cmd::{NotRunning, Warnings, belongs, output, reload, wait};
use crate::examine::doctor::{Diagnosis, ask_gateways};
use crate::examine::{Examination, OwnFix};
use crate::instance::Instance;
use crate::json::{CountsJson, DoctorJson, FindingJson, Format, ResultJson, SeverityJson};

/// Where all but the first line of a finding begin.
const INDENT: &str = "     ";
/// For how long what was mended is waited for.
const SETTLED: Duration = Duration::from_secs(30);

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let device = args.device()?;
    let instance = &args.instance.instance;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut examined, mut diagnosis) = runtime.block_on(look(args, device))?;
    if args.fix {
        match examined.own_fix(&diagnosis.findings) {
            Some(fix) => {
                mend(instance, &fix, &runtime)?;
                (examined, diagnosis) = runtime.block_on(look(args, device))?;
            }
            None => output::remark("nothing was found that prroute mends by itself"),
        }
    }
    let counts = CountsJson::of(&diagnosis.findings, &diagnosis.checks);
    let uplinks = examined.outlook.uplinks.iter();
    let report = DoctorJson {
        schema: Format::Doctor.id(),
        version: env!("CARGO_PKG_VERSION"),
        kernel: uname()?.release().to_string_lossy().into_owned(),
        instance: instance.to_string(),
        pid: examined.daemon.map(nix::unistd::Pid::as_raw),
        in_use: examined.is_in_use(),
        uplinks: uplinks.map(|uplink| uplink.device.name.clone()).collect(),
        result: counts.result(),
        counts,
        findings: diagnosis.findings.iter().map(Into::into).collect(),
        checks: diagnosis.checks.iter().map(Into::into).collect(),
    };
    if args.json {
        output::json(&report)?;
    } else if args.quiet {
        output::text(&Findings(&report.findings).to_string())?;
    } else {
        output::text(&report.to_string())?;
    }
    if report.pid.is_none() {
        return Err(NotRunning::of(instance).into());
    }
    match report.result {
        ResultJson::Ok => Ok(()),
        ResultJson::Warning => Err(Warnings(counts.warning).into()),
        ResultJson::Fault => bail!("faults: {}", counts.fault),
    }
}

/// At this interface alone, where one is asked about: it is the one that is mended, too.
async fn look(args: &DoctorArgs, device: Option<&str>) -> Result<(Examination, Diagnosis)> {
    let instance = &args.instance.instance;
    let found = belongs::find_present(instance, "doctor")?;
    let mut examined = Examination::of(instance, found.daemon).await?;
    if let Some(device) = device
        && !examined.outlook.observed.links.iter().any(|link| link.name == device)
    {
        bail!("there is no interface {device}");
    }
    if args.probe {
        ask_gateways(&examined).await?;
        examined = Examination::of(instance, found.daemon).await?;
    }
    let mut diagnosis = Diagnosis::of(&examined, args.probe).await?;
    if let Some(device) = device {
        let of_none = diagnosis.findings.iter().filter(|it| it.device.is_none()).count();
        if of_none > 0 {
            output::remark(format!("not about {device} alone: {of_none} more, `prroute doctor`"));
        }
        diagnosis.findings.retain(|finding| finding.device.as_deref() == Some(device));
    }
    Ok((examined, diagnosis))
}

/// Runs what changes nothing but prroute's own, and waits until replies are steered again. What is not
/// mended by it the next look tells.
fn mend(instance: &Instance, fix: &OwnFix, runtime: &Runtime) -> Result<()> {
    output::remark(format!("doing: {fix}"));
    match fix {
        OwnFix::Reload(_) => {
            if let Err(error) = reload::of(instance) {
                output::failure(with_causes(error.as_ref()));
            }
        }
        OwnFix::Service { verb, unit } => {
            let status = Command::new("systemctl").args([*verb, unit.as_str()]).status();
            let status = status.context("run systemctl")?;
            if !status.success() {
                output::failure(format!("{fix}: {status}"));
            }
        }
    }
    runtime.block_on(wait::until_ready(instance, SETTLED)).map(drop)
}

impl fmt::Display for DoctorJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prroute {}, instance {}, ", self.version, self.instance)?;
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("no daemon")?,
        }
        writeln!(f, ", kernel {}", self.kernel)?;
        if !self.in_use {
            let count = self.uplinks.len();
            let uplinks = if count == 1 { "uplink" } else { "uplinks" };
            let colon = if count == 0 { "" } else { ": " };
            let names = self.uplinks.join(", ");
            let sentence = format!(
                "prroute does not run here. This host has {count} {uplinks}{colon}{names}."
            );
            f.write_str(&wrapped("", &sentence))?;
        }
        let CountsJson { fault, warning, notice, ok, skipped } = self.counts;
        writeln!(f, "FAIL {fault}  WARN {warning}  note {notice}  ok {ok}  skipped {skipped}")?;
        if !self.findings.is_empty() {
            write!(f, "\n{}", Findings(&self.findings))?;
        }
        Ok(())
    }
}

struct Findings<'a>(&'a [FindingJson]);

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0 {
            let word = match finding.severity {
                SeverityJson::Fault => "FAIL",
                SeverityJson::Warning => "WARN",
                SeverityJson::Notice => "note",
            };
            let said = format!("{word} {}: {}", finding.kind(), finding.what);
            f.write_str(&wrapped(INDENT, &said))?;
            if let Some(owner) = &finding.owner {
                f.write_str(&wrapped(INDENT, &format!("{INDENT}likely made by {owner}")))?;
            }
            for evidence in &finding.evidence {
                f.write_str(&wrapped(INDENT, &format!("{INDENT}{evidence}")))?;
            }
            if let Some(remedy) = &finding.remedy {
                f.write_str(&wrapped(INDENT, &format!("{INDENT}{remedy}")))?;
            }
            // In one piece, so that it can be copied.
            if let Some(fix) = &finding.fix {
                writeln!(f, "{INDENT}fix: {fix}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::cmd::wrapped::WIDTH;
    use crate::json::tests::a_diagnosis;

    #[test]
    fn lines_are_no_longer_than_a_terminal() {
        let text = a_diagnosis().to_string();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn a_finding_has_its_sentence_evidence_and_one_command() {
        let text = a_diagnosis().to_string();
        for line in [
            "FAIL 1  WARN 1  note 0  ok 1  skipped 1\n",
            "FAIL route-missing: what\n     likely made by owner\n     1 of 2\n     do it\n     fix: ip link \
             set eth0 up\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
