//! Routes of others in prroute's tables are named and left, and all else goes on to follow the network:
//! that uplink's other rules and routes, and those of the others. So it is for the daemon that starts next.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::wait;

use super::coexistence::leaves_by;

const SOON: Duration = Duration::from_secs(20);

/// A route that somebody puts into the table of the first uplink.
struct Foreign {
    family: &'static str,
    verb: &'static str,
    destination: &'static str,
    way: &'static str,
    /// The words that only it has in the listing of the table.
    told_by: &'static str,
}

impl Foreign {
    fn in_table(&self, lab: &Lab) -> Result<Vec<String>> {
        let Self { family, destination, .. } = self;
        let routes = lab.host.ip(&format!("{family} -N route show {destination} table 21001"))?;
        Ok(routes.lines().map(str::to_owned).collect())
    }

    /// Also in the place of ours there is no other one.
    fn expect_alone(&self, lab: &Lab) -> Result<()> {
        let routes = self.in_table(lab)?;
        ensure!(
            routes.len() == 1 && routes[0].contains(self.told_by),
            "theirs is left: {routes:?}"
        );
        Ok(())
    }

    fn await_named(&self, prroute: &Instance<'_>) -> Result<()> {
        let named = || -> Result<Option<()>> {
            let status = prroute.status()?;
            let collision = status["collision"].as_str().unwrap_or_default();
            let is_named =
                collision.contains(self.destination) && collision.contains("table 21001");
            Ok(is_named.then_some(()))
        };
        wait::until("the route is named", SOON, named)
    }
}

/// New addresses of both uplinks get their rules and routes.
fn follows(lab: &Lab, third: u8) -> Result<()> {
    for number in [1, 2] {
        let source = IpAddr::V4(Ipv4Addr::new(10, 0, third + number, 1));
        lab.host.ip(&format!("address add {source}/24 dev up{number}"))?;
        wait::until("a new address has its rules", SOON, || {
            Ok((leaves_by(lab, source)? == usize::from(number)).then_some(()))
        })?;
        wait::until("and its route", SOON, || {
            let routes =
                lab.host.ip(&format!("route show table {}", 21_000 + u32::from(number)))?;
            Ok(routes.contains(&format!("10.0.{}.0/24", third + number)).then_some(()))
        })?;
    }
    Ok(())
}

fn all_else_follows(foreign: &Foreign) -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    let Foreign { family, verb, destination, way, .. } = foreign;
    let before = foreign.in_table(&lab)?;
    ensure!(before.len() == usize::from(*verb == "replace"), "{before:?}");
    lab.host.ip(&format!("{family} route {verb} {destination} {way} table 21001"))?;
    for third in [91, 93] {
        foreign.await_named(&prroute).with_context(|| daemon.process.log())?;
        follows(&lab, third).with_context(|| daemon.process.log())?;
        let log = daemon.process.log();
        ensure!(!log.contains("File exists"), "{log}");
        daemon.terminate()?;
        daemon = prroute.run(&[])?;
    }
    foreign.expect_alone(&lab)?;
    lab.host.ip(&format!("{family} route del {destination} {way} table 21001"))?;
    wait::until("ours is back, and nothing is in the way", SOON, || {
        let is_as_before = foreign.in_table(&lab)? == before;
        Ok((is_as_before && prroute.status()?["collision"].is_null()).then_some(()))
    })
    .with_context(|| daemon.process.log())?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn beside_a_default_route_in_the_place_of_ours_all_else_follows() -> Result<()> {
    all_else_follows(&Foreign {
        family: "-4",
        verb: "replace",
        destination: "default",
        way: "via 10.0.1.1 dev up1 mtu 1400",
        told_by: "mtu 1400",
    })
}

#[test]
fn beside_a_route_in_the_place_of_our_on_link_one_all_else_follows() -> Result<()> {
    all_else_follows(&Foreign {
        family: "-4",
        verb: "replace",
        destination: "10.0.1.0/24",
        way: "via 10.0.1.1 dev up1",
        told_by: "via 10.0.1.1",
    })?;
    all_else_follows(&Foreign {
        family: "-6",
        verb: "replace",
        destination: "2001:db8:1::/64",
        way: "via 2001:db8:1::1 dev up1",
        told_by: "via 2001:db8:1::1",
    })
}

#[test]
fn a_route_between_ours_is_named_and_all_else_follows() -> Result<()> {
    all_else_follows(&Foreign {
        family: "-4",
        verb: "add",
        destination: "10.77.0.0/16",
        way: "via 10.0.2.1 dev up2",
        told_by: "via 10.0.2.1",
    })?;
    all_else_follows(&Foreign {
        family: "-6",
        verb: "add",
        destination: "2001:db8:77::/48",
        way: "via 2001:db8:2::1 dev up2",
        told_by: "via 2001:db8:2::1",
    })
}
