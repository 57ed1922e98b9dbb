//! `prroute run --log-packets` tells of each packet whose flow is looked up what was decided.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::socket;

const PORT: u16 = 7007;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn decisions_are_logged_when_asked_for_and_not_otherwise() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    let prroute = lab.prroute()?;
    for is_logged in [true, false] {
        let mut daemon = prroute.run(if is_logged { &["--log-packets"] } else { &[] })?;
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::shared(family));
            let client = socket::udp(&lab.client, source, 0)?;
            let target = SocketAddr::new(target, PORT);
            ensure!(echo::udp_round(&client, target, 64)?, "no echo from {target}");
            if !is_logged {
                continue;
            }
            let (ip, port) = (source, client.local_addr()?.port());
            let came =
                format!("protocol 17 {ip} port {port} to {} port {PORT}: record", target.ip());
            let left = format!(
                "protocol 17 {} port {PORT} to {ip} port {port}: reply, to its uplink",
                target.ip()
            );
            daemon.process.wait_log("both decisions", PATIENCE, |log| {
                let has = |way: &str, what: &str| {
                    log.lines().any(|line| line.contains(way) && line.ends_with(what))
                };
                (has(" in interface", &came) && has(" out interface", &left)).then_some(())
            })?;
        }
        let log = daemon.terminate()?;
        ensure!(log.contains("reply, to its uplink") == is_logged, "{log}");
    }
    prroute.down()?;
    drop(echo);
    Ok(())
}
