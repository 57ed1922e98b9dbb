//! How uplink 2 fails, and works again.

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::prroute::Instance;
use prroute_tests::wait;

use super::traffic::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    AdminDown,
    CarrierLost,
    Deleted,
    /// The link is up, but nobody answers: neither to ARP or neighbour solicitations.
    GatewaySilent,
}

impl Failure {
    /// Uplink 2 fails.
    pub(crate) fn begin(self, lab: &Lab) -> Result<()> {
        let router = &lab.router(2).namespace;
        match self {
            Self::AdminDown => lab.host.ip("link set up2 down").map(drop),
            Self::CarrierLost => router.ip("link set host down").map(drop),
            Self::Deleted => lab.host.ip("link del up2").map(drop),
            Self::GatewaySilent => router.nft(
                "table netdev silence {
                    chain in { type filter hook ingress device host priority 0; policy drop; }
                    chain out { type filter hook egress device host priority 0; policy drop; }
                }",
            ),
        }
    }

    /// Waits until the daemon knows.
    pub(crate) fn wait_known(self, prroute: &Instance<'_>) -> Result<()> {
        wait::until("the failure is known", PATIENCE, || {
            // While a device goes, its programs are missing for a moment.
            let Ok(status) = prroute.status() else { return Ok(None) };
            let uplinks = status["uplinks"].as_array().context("no uplinks")?;
            let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2");
            let known = match self {
                Self::Deleted => up2.is_none(),
                Self::GatewaySilent => up2.is_some_and(|up2| {
                    up2["gateway4_usable"] == false && up2["gateway6_usable"] == false
                }),
                // A veth without a default route is no uplink any more.
                Self::AdminDown | Self::CarrierLost => up2.is_none_or(|up2| up2["up"] == false),
            };
            Ok(known.then_some(()))
        })
        .with_context(|| format!("{:#}", prroute.status().unwrap_or_default()))
    }

    /// Waits until the kernel has given up the gateways' link-layer addresses, too: until then it sends
    /// to them.
    pub(crate) fn wait_forgotten(self, lab: &Lab) -> Result<()> {
        if self != Self::GatewaySilent {
            return Ok(());
        }
        wait::until("the gateways have no link-layer address", PATIENCE, || {
            for family in Family::BOTH {
                let gateway = addressing::gateway(2, family);
                if lab.host.ip(&format!("neigh show to {gateway} dev up2"))?.contains("lladdr") {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// And works again.
    pub(crate) fn end(self, lab: &Lab) -> Result<()> {
        let router = &lab.router(2).namespace;
        match self {
            Self::AdminDown => lab.host.ip("link set up2 up")?,
            Self::CarrierLost => router.ip("link set host up")?,
            Self::Deleted => {
                let (mac, namespace) = (addressing::host_mac(2), router.name());
                lab.host.ip(&format!(
                    "link add name up2 address {mac} type veth peer name host netns {namespace}"
                ))?;
                router.ip("link set host master lan up")?;
                lab.host.ip("link set up2 up")?
            }
            Self::GatewaySilent => router.run(&["nft", "delete", "table", "netdev", "silence"])?,
        };
        if self != Self::GatewaySilent {
            for family in Family::BOTH {
                let (host, gateway) = (addressing::host(2, family), addressing::gateway(2, family));
                let length = addressing::prefix_length(family);
                lab.host.ip(&format!("address replace {host}/{length} dev up2"))?;
                let option = family.option();
                let route = format!("default via {gateway} dev up2 metric 200");
                lab.host.ip(&format!("{option} route replace {route}"))?;
            }
        }
        Ok(())
    }
}
