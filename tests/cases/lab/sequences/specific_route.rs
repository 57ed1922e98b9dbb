//! A route to the client comes to main, more specific than the default route and over another uplink.

use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::Lab;
use prroute_tests::socket;

use super::{Astray, PORT, TOPOLOGY, pass};

/// A connection to an own or a shared address goes on over the uplink that it came in by, however old
/// it is: a SYN is known for ten seconds only.
#[test]
fn connections_of_every_age_stay_on_their_uplink() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let client = addressing::client(2, family);
            for age in [3, 13, 60, 3600] {
                for target in [addressing::host(2, family), addressing::shared(family)] {
                    let context = || format!("{target} after {age} s");
                    let mut tcp = socket::tcp(&lab.client, client, target, PORT)?;
                    echo::tcp_round(&mut tcp, 100).with_context(context)?;
                    pass(&lab, Duration::from_secs(age))?;
                    let length = addressing::full_length(family);
                    let via = addressing::gateway(1, family);
                    let route = format!("{client}/{length} via {via}");
                    lab.host.ip(&format!("{} route add {route}", family.option()))?;
                    let astray = Astray::watch(&lab, target, client)?;
                    for _ in 0..3 {
                        echo::tcp_round(&mut tcp, 100).with_context(context)?;
                    }
                    astray.expect_none().with_context(context)?;
                    lab.host.ip(&format!("{} route del {route}", family.option()))?;
                }
            }
        }
        Ok(())
    })
}

/// What the host opens over the specific route, bound to another uplink's address, has a record, and
/// leaves by that route for as long as it lives.
#[test]
fn what_the_host_opens_by_the_route_stays_there() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    let clients = Family::BOTH.map(addressing::stateless_client);
    let _echo = Echo::start(&lab.client, &clients, PORT)?;
    // Its answers come by the owner of the address that asks: nobody looks at them.
    for family in Family::BOTH {
        let (own, via) = (addressing::host(2, family), addressing::router_wan(2, family));
        let length = addressing::full_length(family);
        lab.client.ip(&format!("{} route add {own}/{length} via {via}", family.option()))?;
    }
    for router in &lab.routers {
        router.namespace.run(&["nft", "flush", "ruleset"])?;
        router.namespace.sysctl(&["net.ipv4.conf.all.rp_filter=0"])?;
        for link in ["wan", "lan"] {
            router.namespace.sysctl(&[&format!("net.ipv4.conf.{link}.rp_filter=0")])?;
        }
    }
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let (own, client) = (addressing::host(2, family), addressing::stateless_client(family));
            let (length, via) = (addressing::full_length(family), addressing::gateway(1, family));
            lab.host.ip(&format!("{} route add {client}/{length} via {via}", family.option()))?;
            let mut tcp = socket::tcp(&lab.host, own, client, PORT)?;
            for age in [0, 200, 7200] {
                pass(&lab, Duration::from_secs(age))?;
                echo::tcp_round(&mut tcp, 100).with_context(|| format!("{own} after {age} s"))?;
            }
            let moved = prroute.count("redirected_to_owner")?;
            assert_eq!(moved, 0, "{own} to {client}");
        }
        Ok(())
    })
}
