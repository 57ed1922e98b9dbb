//! What to show of the status, and how: the command's options, and a request's query.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::cli::StatusArgs;
use crate::cmd::status::{brief, text};
use crate::json::StatusJson;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cmd) struct Form {
    brief: bool,
    pub(super) statistics: bool,
    pub(super) details: bool,
    pub(super) all: bool,
    /// One uplink alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<String>,
}

impl Form {
    pub(super) fn of(args: &StatusArgs) -> Result<Self> {
        let dev = args.device()?.map(str::to_owned);
        let StatusArgs { brief, statistics, details, all, .. } = *args;
        Ok(Self { brief, statistics, details, all, dev })
    }

    /// # Errors
    ///
    /// When it is none.
    pub(in crate::cmd) fn parse(query: &str) -> Result<Self> {
        Ok(serde_urlencoded::from_str(query)?)
    }

    pub(super) fn query(&self) -> Result<String> {
        Ok(serde_urlencoded::to_string(self)?)
    }

    /// What is about one uplink and about none, where one is asked for. The health is still that of the whole.
    ///
    /// # Errors
    ///
    /// When there is no such interface.
    pub(in crate::cmd) fn select(&self, mut report: StatusJson) -> Result<StatusJson> {
        let Some(name) = &self.dev else { return Ok(report) };
        report.keep_only(name);
        if report.uplinks.is_empty() && report.skipped.is_empty() {
            bail!("there is no interface {name:?}");
        }
        Ok(report)
    }

    pub(in crate::cmd) fn text(&self, report: &StatusJson) -> String {
        match self.brief {
            true => format!("{}\n", brief::line(report)),
            false => text::Text { report, shown: text::Shown::of(self) }.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::a_status;

    #[test]
    fn a_form_survives_its_way_as_a_query() {
        let plain = Form::default();
        let dev = Some("a b&c=%\u{1b}".to_owned());
        for form in [plain, Form { details: true, all: true, dev, ..Form::default() }] {
            assert_eq!(Form::parse(&form.query().unwrap()).unwrap(), form);
        }
        assert_eq!(Form::parse("").unwrap(), Form::default());
    }

    #[test]
    fn of_one_uplink_the_rest_is_still_that_of_the_whole() {
        let mut report = a_status();
        let mut other = report.uplinks[0].clone();
        other.uplink.name = "eth1".to_owned();
        other.answers[0].silent = false;
        report.uplinks.push(other);
        let mut about = report.findings[0].clone();
        about.id = "daemon-gone".to_owned();
        about.device = None;
        report.findings.push(about.clone());
        about.device = Some("eth1".to_owned());
        report.findings.push(about);
        let of = |dev: &str| Form { dev: Some(dev.to_owned()), ..Form::default() };
        let selected = of("eth0").select(report.clone()).unwrap();
        let text = of("eth0").text(&selected);
        assert!(text.contains(", 1 of 2 uplinks answer, "), "{text}");
        assert!(!text.contains("managing"), "there are two uplinks: {text}");
        assert!(text.contains("[daemon-gone]"), "it is about no device: {text}");
        let names: Vec<_> = selected.uplinks.iter().map(|it| it.uplink.name.as_str()).collect();
        assert_eq!(names, ["eth0"]);
        assert!(selected.findings.iter().all(|it| it.device.as_deref() != Some("eth1")));
        assert!(of("eth9").select(report).is_err());
    }

    #[test]
    fn a_query_that_says_something_else_is_refused() {
        for query in ["brif=true", "details=yes", "details", "dev=a&dev=b"] {
            assert!(Form::parse(query).is_err(), "{query}");
        }
    }
}
