//! Each file as the examples in `tests/formats` have it.

use std::path::Path;

use serde::Serialize;

use super::super::ids::IdFile;
use super::super::report::Reload;
use super::super::unit::StartedBy;
use super::ids::remembered;
use super::*;
use crate::config::{Config, OwnSource};
use crate::datapath::hooks::ProgramIds;
use crate::json;
use crate::state::families::Families;

/// With something in every field.
pub(super) fn report() -> DaemonReport {
    let (uplinks, skipped, findings) = json::tests::uplinks_skipped_and_findings();
    let mut report = DaemonReport::new(uplinks);
    report.summary = "managing 1 uplink".to_owned();
    (report.daemon, report.trial) = (Some(42), true);
    report.started_by = Some(StartedBy::Unit("prroute.service".to_owned()));
    report.layout = Some(8);
    (report.ready, report.configuration_read) = (Some(true), Some(1_790_000_000));
    report.configuration = Some(Vec::new());
    report.in_force = Some(configuration());
    report.config_file = Some("/etc/prroute/prroute.toml".into());
    let (refusal, notes) = (Some(json::tests::refusal()), vec!["a note".to_owned()]);
    report.reload = Reload { started: 2, finished: 1, refusal, notes };
    report.healed = Some(json::tests::healed());
    report.collision = Some("a collision".to_owned());
    (report.skipped, report.findings) = (skipped, findings);
    report.programs =
        Some(ProgramIds { ingress: 71, egress: 72, observe: true, sockets: vec![73, 74, 75, 76] });
    (report.observe, report.observing_since) = (true, Some(1_790_000_000));
    report.observed_before = Some(7);
    report.udp_source = Some(json::tests::udp_source());
    report.own_source.asked = OwnSource::Datapath;
    report.own_source.had_rules = Families { v4: true, v6: false };
    let gateway = "192.168.1.1".parse().unwrap();
    report.silent_gateways = vec![json::SilentGatewayJson {
        ifindex: 2,
        gateway,
        since_boot_ms: 8_200,
        seen_to_begin: true,
    }];
    report.left_out = json::tests::left_out();
    report
}

/// With something in every key.
fn configuration() -> Config {
    let text = "mode = 'observe'\non-stop = 'undo'\nattach = 'tcx'\nflows = 65536\nexclude = ['eth9', 'veth*']\n\
                rule-priority = 5000\ntable = 6000\nrp-filter = 'leave'\nown-source = 'datapath'\n\
                on-down = 'hold'\nbind-device = true\nudp-source = false\ngateway-probe = 5\n\
                [[uplink]]\nname = 'wg0'\ngateway = ['192.168.1.1']\nreply = 'last-hop'\n\
                on-down = 'route'\ntable = 6500\nto = ['192.0.2.0/24']\n\
                [[uplink]]\nmac = '02:00:00:00:00:01'\n";
    Config::parse(Path::new("prroute.toml"), text).unwrap()
}

/// The example is what is written, and what is read again.
fn expect_file<T: Serialize>(
    name: &str,
    file: &T,
    parse: impl Fn(&[u8], &Origin) -> Result<T, Unusable>,
) {
    let mut example = serde_json::to_value(file).unwrap();
    if !example["origin"].is_null() {
        example["origin"]["boot_id"] = "b1f2a9d4-0000-4000-8000-000000000001".into();
        example["origin"]["namespace"] = "4026531840-1".into();
    }
    json::tests::expect_example(name, &example);
    let here = serde_json::from_value(example["origin"].clone()).unwrap_or_default();
    let read = parse(example.to_string().as_bytes(), &here).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), example);
}

#[test]
fn files_are_as_the_examples_say() {
    expect_file("journal.json", &journal(), Journal::parse);
    expect_file("report.json", &report(), DaemonReport::parse);
    let parse = |text: &[u8], _: &Origin| Ok(IdFile::of(&IdFile::parse(text)?));
    expect_file("ids.json", &IdFile::of(&remembered()), parse);
}
