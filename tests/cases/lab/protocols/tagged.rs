//! Tagged frames belong to the VLAN device above the uplink, and here to nobody.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_oracle::frame::{Frame, Upper};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::frame::Wire;
use prroute_tests::lab::{Lab, Topology};

const VLAN: u16 = 42;
const PATIENCE: Duration = Duration::from_secs(20);

/// A SYN to the shared address, tagged.
fn tagged(family: Family, ether_type: u16) -> Vec<u8> {
    let (source, target) = (addressing::client(2, family), addressing::shared(family));
    let upper = Upper::Tcp { ports: [40_000, 443], flags: 0x02, numbers: [1, 0], option_words: 0 };
    let mut frame =
        Frame { tag: Some((ether_type, VLAN)), ..Frame::plain(source, target, upper) }.bytes();
    let mac = |text: &str| prroute_tests::frame::mac(text);
    if let (Ok(host), Ok(router)) =
        (mac(&addressing::host_mac(2)), mac(&addressing::gateway_mac(2)))
    {
        frame[..6].copy_from_slice(&host);
        frame[6..12].copy_from_slice(&router);
    }
    frame
}

/// The same the other way: a SYN-ACK whose flow would be another uplink's.
fn tagged_answer(family: Family, ether_type: u16) -> Vec<u8> {
    let (source, target) = (addressing::shared(family), addressing::client(2, family));
    let upper = Upper::Tcp { ports: [443, 40_000], flags: 0x12, numbers: [1, 2], option_words: 0 };
    Frame { tag: Some((ether_type, VLAN)), ..Frame::plain(source, target, upper) }.bytes()
}

#[test]
fn tagged_frames_pass_are_counted_and_open_nothing() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let router = &lab.router(2).namespace;
        let filter = format!("vlan {VLAN}");
        let arrived = Capture::start(&lab.host, "up2", "in", &filter)?;
        let left = Capture::start(&lab.router(1).namespace, "host", "in", &filter)?;
        let (to_host, from_host) = (Wire::open(router, "host")?, Wire::open(&lab.host, "up1")?);
        let mut sent = 0;
        for family in Family::BOTH {
            for ether_type in [0x8100, 0x88a8] {
                to_host.send(&tagged(family, ether_type))?;
                from_host.send(&tagged_answer(family, ether_type))?;
                sent += 1;
            }
        }
        // The filter knows the inner tag type of IEEE 802.1ad too.
        ensure!(arrived.wait_for(sent, PATIENCE)?, "not all tagged frames came in");
        ensure!(left.wait_for(sent, PATIENCE)?, "not all tagged frames left by their device");
        let (arrived, left) = (arrived.stop()?, left.stop()?);
        ensure!(arrived.len() == sent && left.len() == sent, "{arrived:#?}\n{left:#?}");
        assert_eq!(prroute.count("tagged")?, 2 * sent as u64);
        assert_eq!(prroute.count("opened_inbound")?, 0);
        let flows = prroute.flows(|flow| flow["local_port"] == 443)?;
        ensure!(flows.is_empty(), "{flows:#?}");
        Ok(())
    })
}
