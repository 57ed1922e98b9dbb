//! nftables' flow table takes packets past routing and most of netfilter, not past tc.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;

#[test]
fn offloaded_connections_to_guests_keep_their_uplink() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ip_forward: true, ..Topology::DEFAULT })?;
    let guest = lab.guest()?;
    let _echo = Echo::start(&guest, &Family::BOTH.map(addressing::guest), PORT)?;
    lab.host.nft(
        "table inet fast_path {
            flowtable fast { hook ingress priority 0; devices = { up1, up2, guests }; }
            chain forward {
                type filter hook forward priority 0; policy accept;
                meta l4proto { tcp, udp } flow add @fast
            }
        }",
    )?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::guest(family));
            let mut tcp = socket::tcp(&lab.client, source, target, PORT)?;
            let udp = socket::udp(&lab.client, source, 0)?;
            for _ in 0..20 {
                echo::tcp_round(&mut tcp, 1_000).with_context(|| target.to_string())?;
                ensure!(echo::udp_round(&udp, (target, PORT).into(), 100)?, "{target} is silent");
            }
            wait::until("the connection is offloaded", Duration::from_secs(10), || {
                let flows = lab.host.run(&["cat", "/proc/net/nf_conntrack"])?;
                let offloaded = flows.lines().any(|flow| {
                    flow.contains("[OFFLOAD]") && flow.contains(&format!("dport={PORT}"))
                });
                Ok(offloaded.then_some(()))
            })?;
            for _ in 0..50 {
                echo::tcp_round(&mut tcp, 1_000).with_context(|| target.to_string())?;
                ensure!(echo::udp_round(&udp, (target, PORT).into(), 100)?, "{target} is silent");
            }
            let replies = |n: u8| lab.router(n).arrived(target, source);
            let (first, second) = (replies(1)?, replies(2)?);
            ensure!(
                first == 0 && second >= 140,
                "{first} replies by uplink 1, {second} by uplink 2"
            );
        }
        Ok(())
    })
}
