//! What main says to be on an uplink's link is followed, also where another route takes its place.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(15);

/// The kernel announces of a replaced route only the other one. Replies that are moved to the first uplink
/// are for nobody on its link then, but for its gateway.
#[test]
fn a_gateway_route_in_the_place_of_an_on_link_one_is_followed() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let change = |verb: &str, of: fn(Family) -> String| -> Result<()> {
        for (family, net) in [(Family::V4, "198.51.100.0/24"), (Family::V6, "2001:db8:ff::/64")] {
            lab.host.ip(&format!("{} route {verb} {net} {}", family.option(), of(family)))?;
        }
        Ok(())
    };
    change("add", |_| "dev up1".to_owned())?;
    let probes = Family::BOTH.map(|family| Probe {
        question: Question::Ping,
        source: addressing::client(1, family),
        target: addressing::shared(family),
    });
    lab.with_prroute(|prroute| {
        // The clients are not on the link: that makes it a test.
        probe::expect_answered(&lab.ask(&probes)?, |_| false)?;
        change("replace", |family| format!("via {} dev up2", addressing::gateway(2, family)))?;
        let routes = lab.host.ip("route show 198.51.100.0/24")?;
        ensure!(routes.lines().count() == 1 && routes.contains("via"), "{routes}");
        lab.expect_answered_within(SOON, &probes)?;
        ensure!(!prroute.log().contains("WARN"), "{}", prroute.log());
        Ok(())
    })
}
