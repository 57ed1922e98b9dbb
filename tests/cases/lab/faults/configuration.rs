//! The configuration that is not in force.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::wait;
use serde_json::Value;

use super::{SOON, STATUS, TWO, expect_named_and_mended};

#[test]
fn a_configuration_that_was_changed_is_named_until_it_is_reloaded() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let mut prroute = lab.prroute()?.configured("")?;
    let daemon = prroute.run(&[])?;
    prroute.configure("# a comment\n")?;
    expect_named_and_mended(&lab.host, &prroute, STATUS, ("configuration-changed", 0))?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What is others' stays as it is.
#[test]
fn what_is_prroutes_own_is_mended_on_request_and_nothing_else_is() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let mut prroute = lab.prroute()?.configured("")?;
    let daemon = prroute.run(&[])?;
    prroute.configure("# a comment\n")?;
    lab.host.ip("link set up2 down")?;
    let is_named = |kind: &str| -> Result<bool> {
        let status = prroute.status()?;
        let findings = status["findings"].as_array().into_iter().flatten();
        Ok(findings.filter_map(|it| it["id"].as_str()).any(|id| id.starts_with(kind)))
    };
    wait::until("both are named", SOON, || {
        Ok((is_named("configuration-changed")? && is_named("carrier:up2")?).then_some(()))
    })?;
    let of_none = prroute.output(&["doctor", "--fix", "dev", "up9"])?;
    ensure!(of_none.stderr.contains("there is no interface up9"), "{of_none:?}");
    ensure!(!of_none.stderr.contains("doing:"), "{of_none:?}");
    let of_up2 = prroute.output(&["doctor", "--fix", "dev", "up2"])?;
    ensure!(
        of_up2.stderr.contains("nothing was found that prroute mends by itself"),
        "the configuration is not about up2: {of_up2:?}"
    );
    ensure!(is_named("configuration-changed")?);
    let fixed = prroute.output(&["doctor", "--fix"])?;
    let reload = format!("doing: prroute reload --instance {}", prroute.name());
    ensure!(fixed.stderr.contains(&reload), "{fixed:?}");
    ensure!(!fixed.stdout.contains("configuration-changed"), "{fixed:?}");
    ensure!(fixed.stdout.contains("carrier") && fixed.status.code() == Some(1), "{fixed:?}");
    ensure!(!is_named("configuration-changed")? && is_named("carrier:up2")?);
    lab.host.ip("link set up2 up")?;
    let nothing = prroute.output(&["doctor", "--fix"])?;
    ensure!(
        nothing.stderr.contains("nothing was found that prroute mends by itself"),
        "{nothing:?}"
    );
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What the commands say, but for figures, ages and what they say of the files.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    codes: [Option<i32>; 2],
    uplinks: Vec<(Value, Value)>,
    /// With their labels.
    series: Vec<String>,
    /// The uplinks by which `explain` has a request come in.
    ways: Vec<Value>,
    findings: Vec<String>,
}

impl Told {
    fn by(prroute: &Instance<'_>) -> Result<Self> {
        let code = |words: &[&str]| Ok::<_, anyhow::Error>(prroute.output(words)?.status.code());
        let codes = [code(&["status"])?, code(&["wait", "--timeout", "5s"])?];
        let status = prroute.status()?;
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let uplinks = items(&status["uplinks"]).into_iter();
        let ids = items(&status["findings"]).into_iter();
        let ids = ids.filter_map(|it| it["id"].as_str().map(str::to_owned));
        let metrics = prroute.output(&["metrics"])?.success()?;
        let series = metrics.lines().filter(|line| line.starts_with("prroute_uplink_"));
        let series = series.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        let (client, local) = (addressing::client(1, Family::V4), addressing::host(1, Family::V4));
        let question = format!("explain icmp from {client} to {local} --json");
        let explained = prroute.output(&question.split(' ').collect::<Vec<_>>())?.stdout;
        let explained: Value = serde_json::from_str(&explained).context(explained)?;
        Ok(Self {
            codes,
            uplinks: uplinks.map(|it| (it["name"].clone(), it["state"].clone())).collect(),
            series: series.collect(),
            ways: items(&explained["ways"]).iter().map(|way| way["iif"].clone()).collect(),
            findings: ids.filter(|id| !FILES.contains(&id.as_str())).collect(),
        })
    }
}

/// What is said of the files.
const FILES: [&str; 3] = ["configuration-changed", "configuration-invalid", "reload-refused"];

/// An interface that the configuration excludes, and one that is an uplink only because it is named there.
#[test]
fn what_is_said_of_the_host_is_of_the_configuration_in_force_whatever_the_files_say() -> Result<()>
{
    let lab = Lab::build(Topology { uplinks: 3, ..Topology::DEFAULT })?;
    lab.host.ip("link add named type veth peer name named-end")?;
    lab.host.ip("address add 10.99.0.1/24 dev named")?;
    lab.host.ip("link set named up")?;
    lab.host.ip("link set named-end up")?;
    let in_force = "exclude = [\"up3\"]\n[[uplink]]\nname = \"named\"\n";
    let mut prroute = lab.prroute()?.configured(in_force)?;
    let daemon = prroute.run(&[])?;
    let before = Told::by(&prroute)?;
    ensure!(before.codes == [Some(0); 2] && before.ways.len() == 3, "{before:#?}");
    for name in ["up1", "up2", "named"] {
        let label = format!("\"{name}\"");
        ensure!(before.series.iter().any(|it| it.contains(&label)), "{name}: {before:#?}");
    }
    for (text, finding) in [("", FILES[0]), ("exclude = [", FILES[1]), (in_force, "")] {
        prroute.configure(text)?;
        assert_eq!(Told::by(&prroute)?, before, "{text:?}");
        let said = prroute.output(&["status"])?.stdout;
        ensure!(said.contains(finding), "{text:?}: {said}");
    }
    // Valid, and not to be had on this host; then not even valid.
    lab.host.ip("rule add priority 5500 from 10.77.0.0/16 lookup main")?;
    for (text, code) in [("rule-priority = 5000\n", 1), ("exclude = [", 78)] {
        prroute.configure(text)?;
        let refused = prroute.output(&["reload"])?;
        ensure!(refused.status.code() == Some(code), "{refused:?}");
        assert_eq!(Told::by(&prroute)?, before, "{text:?} was refused");
    }
    lab.host.ip("rule del priority 5500")?;
    // Another one in force is told at once.
    prroute.configure("")?;
    prroute.output(&["reload"])?.success()?;
    let after = Told::by(&prroute)?;
    let names: Vec<_> = after.uplinks.iter().filter_map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["up1", "up2", "up3"], "{after:#?}");
    daemon.terminate()?;
    prroute.down().map(drop)
}
