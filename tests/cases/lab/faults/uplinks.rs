//! Interfaces that are uplinks by mistake, or are none by mistake.

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};

use super::{DOCTOR, TWO, expect_clean, expect_named};

/// Named while a configuration is in force, and not without it.
fn expect_named_with(lab: &Lab, configuration: &str, id: &str, remedy: &str) -> Result<()> {
    let mut prroute = lab.prroute()?.configured(configuration)?;
    let daemon = prroute.run(&[])?;
    let finding = expect_named(&prroute, DOCTOR, id, 5)?;
    let text = finding["remedy"].as_str().unwrap_or_default();
    ensure!(text.contains(remedy) && text.ends_with("run `prroute reload`"), "{finding:#}");
    prroute.configure("")?;
    prroute.output(&["reload"])?.success()?;
    expect_clean(&prroute, DOCTOR)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn an_uplink_that_is_excluded_by_mistake_is_named() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 3, ..TWO })?;
    expect_named_with(&lab, "exclude = [\"up3\"]\n", "uplink-excluded:up3", "out of `exclude`")
}

/// As Docker makes its bridge, with a container.
pub(crate) fn add_bridge_of_containers(lab: &Lab) -> Result<()> {
    for line in [
        "link add name docker0 type bridge",
        "link add name container type veth peer name inside",
        "link set container master docker0 up",
        "link set inside up",
        "link set docker0 up",
        "address add 172.17.0.1/16 dev docker0",
    ] {
        lab.host.ip(line)?;
    }
    Ok(())
}

#[test]
fn a_bridge_of_containers_that_is_named_as_an_uplink_is() -> Result<()> {
    let lab = Lab::build(TWO)?;
    add_bridge_of_containers(&lab)?;
    let configuration = "[[uplink]]\nname = \"docker0\"\n";
    expect_named_with(&lab, configuration, "uplink-unfit:docker0", "out of the configuration")
}

/// The kernel deletes its routes with it.
#[test]
fn an_uplink_that_lost_its_addresses_is_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.ip("address flush dev up2 scope global")?;
        let finding = expect_named(prroute, DOCTOR, "address-missing:up2", 5)?;
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        ensure!(remedy.contains("ip address add ADDRESS/LENGTH dev up2"), "{finding:#}");
        lab.host.ip("address add 10.0.2.10/24 dev up2")?;
        lab.host.ip("address add 2001:db8:2::10/64 dev up2 nodad")?;
        lab.host.ip("route add default via 10.0.2.1 dev up2 metric 200")?;
        expect_clean(prroute, DOCTOR)
    })
}
