//! `status -br`: one line.

use crate::cmd::status::text;
use crate::json::{FindingJson, SeverityJson, StatusJson, UplinkStateJson};

/// Health, then each uplink with what is wrong about it, then what is wrong with the host.
pub(super) fn line(report: &StatusJson) -> String {
    let mut words = vec![report.instance.clone(), text::in_words(report)];
    let of = |device: Option<&str>| -> Vec<&str> {
        let is_its = |it: &&FindingJson| {
            it.severity != SeverityJson::Notice && it.device.as_deref() == device
        };
        let mut kinds: Vec<&str> =
            report.findings.iter().filter(is_its).map(FindingJson::kind).collect();
        kinds.dedup();
        kinds
    };
    for it in &report.uplinks {
        let name = it.uplink.name.as_str();
        let state = match it.state {
            UplinkStateJson::Degraded => None,
            state => Some(state.name()),
        };
        let kinds = of(Some(name)).into_iter().filter(|kind| *kind != "carrier");
        let said: Vec<&str> = state.into_iter().chain(kinds).collect();
        words.push(format!("{name}:{}", said.join(",")));
    }
    let host = of(None);
    if !host.is_empty() {
        words.push(format!("host:{}", host.join(",")));
    }
    words.join(" ")
}
