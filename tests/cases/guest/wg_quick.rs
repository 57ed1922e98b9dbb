//! wg-quick with a tunnel that catches everything, before and after prroute.

use std::fs;

use anyhow::{Context as _, Result};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::network::{TWO_UPLINKS, expect_answers, serve, silent};
use crate::service::{JOB, Service};
use prroute_tests::addressing;

/// The tunnel, taken down when dropped.
struct Tunnel;

const CONFIGURATION: &str = "/etc/wireguard/exit.conf";

impl Tunnel {
    /// Nobody answers at the other end: whatever takes the tunnel is lost.
    fn up() -> Result<Self> {
        let key = command::run(&["wg", "genkey"])?;
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.9.0.2/32, fd00:9::2/128\n\
             [Peer]\nPublicKey = 3r1q2OwmbJm2JgPkJ2r5g4d3mC1rNRBSPmVq3LDBzFE=\n\
             AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 198.51.100.99:51820\n",
            key.trim()
        );
        fs::write(CONFIGURATION, text).with_context(|| format!("write {CONFIGURATION}"))?;
        let quick = command::command(&["wg-quick", "up", "exit"]);
        command::output_within(&mut quick?, JOB, "")?.success()?;
        Ok(Self)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let down = command::command(&["wg-quick", "down", "exit"])
            .and_then(|mut quick| command::output_within(&mut quick, JOB, "")?.success());
        if let Err(error) = down {
            eprintln!("{error:#}");
        }
    }
}

#[test]
fn a_tunnel_for_everything_takes_no_reply_whichever_comes_first() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    {
        let _tunnel = Tunnel::up()?;
        let mut last = Vec::new();
        wait::until("every question is answered", JOB, || {
            last = silent(&lab, addressing::host)?;
            Ok(last.is_empty().then_some(()))
        })
        .with_context(|| format!("{last:?}\n{}", state(&service)))?;
    }
    expect_answers(&lab).with_context(|| state(&service))?;
    drop(service);

    let _tunnel = Tunnel::up()?;
    let service = Service::start()?;
    expect_answers(&lab).with_context(|| state(&service))
}

fn state(service: &Service) -> String {
    let rules = command::run(&["ip", "rule", "show"]).unwrap_or_default();
    format!("{rules}{}", service.journal(&[]).unwrap_or_default())
}
