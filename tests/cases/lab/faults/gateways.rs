//! Gateways that the configuration names, and that cannot be used.

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};

use super::{DOCTOR, TWO, expect_clean, expect_named};

/// Named with a gateway of uplink 2; clean after the gateway was corrected as is said.
fn expect_named_with(topology: Topology, gateway: &str, id: &str, code: i32) -> Result<()> {
    let with = |gateway: &str| format!("[[uplink]]\nname = \"up2\"\ngateway = [\"{gateway}\"]\n");
    let lab = Lab::build(topology)?;
    let mut prroute = lab.prroute()?.configured(&with(gateway))?;
    let daemon = prroute.run(&[])?;
    let finding = expect_named(&prroute, DOCTOR, id, code)?;
    let remedy = finding["remedy"].as_str().unwrap_or_default();
    ensure!(remedy.contains("correct `gateway`"), "{finding:#}");
    ensure!(remedy.ends_with("run `prroute reload`"), "{finding:#}");
    prroute.configure(&with("10.0.2.1"))?;
    prroute.output(&["reload"])?.success()?;
    expect_clean(&prroute, DOCTOR)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// Main knows another one, which is used.
#[test]
fn a_configured_gateway_that_does_not_answer_is_named() -> Result<()> {
    expect_named_with(TWO, "10.0.2.9", "gateway-fallback:up2:10.0.2.9", 5)
}

#[test]
fn a_configured_gateway_outside_the_subnet_is_named() -> Result<()> {
    expect_named_with(TWO, "10.9.9.9", "gateway-off-subnet:up2:10.9.9.9", 1)
}

#[test]
fn a_configured_gateway_that_is_the_hosts_own_address_is_named() -> Result<()> {
    expect_named_with(TWO, "10.0.2.10", "gateway-own-address:up2:10.0.2.10", 1)
}
