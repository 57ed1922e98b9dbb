//! A container behind address translation, whose own link holds the largest packets: it is asked
//! over every uplink, whichever of them main's default route takes.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::Topology;
use prroute_tests::own_source::in_both_modes;
use prroute_tests::socket;

use super::sizes;
use super::transfer;

const PORT: u16 = 7007;
const TRANSFER: usize = 20 << 20;

/// Docker's manner: local addresses are translated to the container's, what it opens is
/// masqueraded.
fn published() -> String {
    let [v4, v6] = Family::BOTH.map(|family| addressing::pod(1, family));
    format!(
        "table inet published {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                meta nfproto ipv4 fib daddr type local tcp dport {PORT} dnat ip to {v4}
                meta nfproto ipv4 fib daddr type local udp dport {PORT} dnat ip to {v4}
                meta nfproto ipv6 fib daddr type local tcp dport {PORT} dnat ip6 to {v6}
                meta nfproto ipv6 fib daddr type local udp dport {PORT} dnat ip6 to {v6}
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat
                iifname pods oifname != pods masquerade
            }}
        }}"
    )
}

/// Uplinks of these sizes, in the order in which main prefers them.
fn is_reached_over_uplinks_of(mtus: &[u32]) -> Result<()> {
    in_both_modes(|own_source| {
        let topology = Topology {
            uplinks: mtus.len() as u8,
            ip_forward: true,
            rp_filter: 1,
            ..Topology::DEFAULT
        };
        let lab = sizes::lab_with(topology, mtus)?;
        let pods = lab.pods(1)?;
        lab.host.ip("link set pod1 mtu 9000")?;
        lab.host.ip("link set pods mtu 9000")?;
        pods[0].ip("link set eth0 mtu 9000")?;
        let echo =
            Echo::start(&pods[0], &Family::BOTH.map(|family| addressing::pod(1, family)), PORT)?;
        lab.host.nft(&published())?;
        lab.with_own_source(own_source, |prroute| {
            for family in Family::BOTH {
                for (mtu, uplink) in mtus.iter().zip(1..) {
                    let source = addressing::client(uplink, family);
                    for target in [addressing::host(uplink, family), addressing::shared(family)] {
                        let told =
                            || format!("{target} over uplink {uplink} of {mtu} among {mtus:?}");
                        let stream =
                            socket::tcp(&lab.client, source, target, PORT).with_context(told)?;
                        transfer::both_ways(stream, TRANSFER).with_context(told)?;
                        transfer::datagrams(&lab.client, source, SocketAddr::new(target, PORT))
                            .with_context(told)?;
                    }
                }
            }
            ensure!(
                prroute.count("redirected")? + prroute.count("redirected_to_owner")? > 0,
                "no reply"
            );
            transfer::every_sender_was_told(prroute)
        })?;
        drop(echo);
        Ok(())
    })
}

#[test]
fn main_prefers_the_largest() -> Result<()> {
    is_reached_over_uplinks_of(&[9000, 1500, 1280])
}

#[test]
fn main_prefers_the_smallest() -> Result<()> {
    is_reached_over_uplinks_of(&[1280, 9000, 1500])
}

#[test]
fn main_prefers_the_ordinary() -> Result<()> {
    is_reached_over_uplinks_of(&[1500, 1280, 9000])
}
