//! Published ports of containers on a host that forwards nothing.

use anyhow::Result;
use prroute_tests::lab::Lab;

use super::{DOCTOR, TWO, expect_clean, expect_named_and_mended};

#[test]
fn published_ports_without_forwarding_are_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.with_prroute(|prroute| {
        expect_clean(prroute, DOCTOR)?;
        lab.host.nft(
            "table ip nat {
                chain prerouting {
                    type nat hook prerouting priority dstnat;
                    tcp dport 8081 dnat to 172.17.0.2:80
                }
            }",
        )?;
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("forwarding-off", 1))?;
        lab.host.sysctl(&["net.ipv4.conf.up2.forwarding=0"])?;
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("forwarding-off:up2", 1))
    })
}
