//! SYNs in others' names that fit what the host answers, though nobody there has seen its answer.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::frame::{self, Flags, Way, Wire};
use prroute_tests::prroute::Instance;
use prroute_tests::wait;

use super::attacker::Attacker;
use super::{PATIENCE, PORT, lab};

const NAMES: u8 = 10;
const SYN: Flags = Flags { syn: true, ack: false, rst: false, fin: false };
const X: u32 = 0x1234_5678;
/// Of what comes as a flow of its own.
const PORTS: [u16; 3] = [2001, 2002, 2003];

fn source(family: Family, number: u8) -> Result<IpAddr> {
    Ok(match family {
        Family::V4 => [198, 18, 0, number].into(),
        Family::V6 => format!("2001:db8:bad::{number:x}").parse()?,
    })
}

/// A SYN with data, a little before [`X`], that the host drops: its checksum is wrong.
fn broken(attacker: &Attacker, source: IpAddr, target: IpAddr, port: u16) -> Result<()> {
    let way = Attacker::way(source, target)?;
    let mut syn = way.tcp((port, PORT), SYN, (X - 10, 0), &[0; 100])?;
    if let Some(last) = syn.last_mut() {
        *last ^= 0x55;
    }
    attacker.wire.send(&syn)
}

fn forge(attacker: &Attacker, family: Family, number: u8) -> Result<()> {
    let (source, shared) = (source(family, number)?, addressing::shared(family));
    let way = Attacker::way(source, shared)?;
    // The host answers what ingress does not see as a SYN.
    broken(attacker, source, shared, PORTS[0])?;
    let whole = way.tcp((PORTS[0], PORT), SYN, (X, 0), &[])?;
    for part in way.fragments(&whole, 8)? {
        attacker.wire.send(&part)?;
    }
    // It answers once more what it heard first.
    attacker.wire.send(&way.tcp((PORTS[1], PORT), SYN, (X, 0), &[])?)?;
    broken(attacker, source, shared, PORTS[1])?;
    // On the owner it acknowledges what it heard first.
    let way = Attacker::way(source, addressing::host(2, family))?;
    for sequence in [X, X + (1 << 30)] {
        attacker.wire.send(&way.tcp((PORTS[2], PORT), SYN, (sequence, 0), &[])?)?;
    }
    Ok(())
}

/// Flows of the forged names, and how many of them count as confirmed.
fn flows(prroute: &Instance<'_>) -> Result<(usize, usize)> {
    let flows = prroute.flows(|flow| {
        let port = flow["remote_port"].as_u64().unwrap_or_default();
        flow["protocol_number"] == 6 && PORTS.iter().any(|forged| u64::from(*forged) == port)
    })?;
    let confirmed = flows.iter().filter(|flow| flow["confirmed"] == true).count();
    Ok((flows.len(), confirmed))
}

#[test]
fn syns_alone_confirm_no_flow() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|prroute| {
        let owned = Family::BOTH.map(|family| addressing::host(2, family));
        let _owned = Echo::start(&lab.host, &owned, PORT)?;
        let attacker = Attacker::new(&lab)?;
        // What comes in on the owner is looked at while the address is asked over another uplink.
        let beside = Wire::open(&lab.stranger(1, "beside")?, "eth0")?;
        for (family, target) in Family::BOTH.into_iter().zip(owned) {
            let target_mac = frame::mac(&addressing::host_mac(1))?;
            let way = Attacker::way(addressing::client(1, family), target)?;
            beside.send(&Way { target_mac, ..way }.udp((PORT, PORT), b"?")?)?;
        }
        let answers = |family: Family| -> Result<u64> {
            let shared = addressing::shared(family);
            (0..NAMES).try_fold(0, |sum, number| {
                Ok(sum + lab.router(2).arrived(shared, source(family, number)?)?)
            })
        };
        for family in Family::BOTH {
            for number in 0..NAMES {
                forge(&attacker, family, number)?;
            }
        }
        for family in Family::BOTH {
            // A second of each comes after a second. IPv6 has no header in two fragments (RFC 8200, 4.5).
            let answered = if family == Family::V4 { 2 } else { 1 };
            wait::until("SYN-ACKs that are sent again", PATIENCE, || {
                Ok((answers(family)? >= 2 * answered * u64::from(NAMES)).then_some(()))
            })?;
        }
        let (all, confirmed) = flows(prroute)?;
        let forged = 2 * PORTS.len() * usize::from(NAMES);
        ensure!(all == forged, "{all} flows of {forged}");
        ensure!(confirmed == 0, "{confirmed} of {all} flows are confirmed");
        Ok(())
    })
}
