//! An uplink with an Ethernet header on which nobody is asked for a link-layer address, as a modem's (`cdc_mbim`).

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Question};

/// The host puts its own link-layer address into each header, and the modem takes whatever comes.
fn like_a_modem(lab: &Lab, number: u8) -> Result<()> {
    lab.host.ip(&format!("link set {} arp off", addressing::device(number)))?;
    let (host, router) = (addressing::host_mac(number), addressing::gateway_mac(number));
    lab.router(number).namespace.nft(&format!(
        "table netdev modem {{
            chain in {{
                type filter hook ingress device host priority 0;
                ether daddr {host} ether daddr set {router}
            }}
        }}"
    ))
}

/// No entry of its gateway is there before the first packet to it.
#[test]
fn replies_move_to_an_uplink_on_which_nobody_is_asked() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    like_a_modem(&lab, 2)?;
    lab.forget_neighbours()?;
    lab.meet_default_gateway()?;
    lab.with_prroute(|prroute| {
        let status = prroute.status()?;
        for key in ["gateway4_resolved", "gateway6_resolved"] {
            ensure!(status["uplinks"][1][key] == true, "{key}: {status:#}");
        }
        let probes = probe::to_shared_address(2, &Question::ALL);
        probe::expect_all_answered(&lab.ask(&probes)?).context("the shared address")?;
        let probes = probe::to_own_addresses(2, &Question::ALL);
        probe::expect_all_answered(&lab.ask(&probes)?).context("each uplink's own")
    })
}
