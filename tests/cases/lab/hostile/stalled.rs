//! A download that stands still, with data in flight, and an attacker who knows how much and where.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use prroute::datapath::Pins;
use prroute_common::address::{octets4, octets6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_common::time::seconds;
use prroute_tests::addressing::{self, Family};
use prroute_tests::frame::Flags;
use prroute_tests::lab::Lab;
use prroute_tests::{socket, wait};

use super::attacker::Attacker;
use super::{PATIENCE, expect_no_leak, lab, leak};
use crate::aging;

const SERVER: u16 = 7020;
const GUESSES: u32 = 12_000;
const AMOUNT: usize = 4 << 20;

fn pins(lab: &Lab) -> Result<Pins> {
    Ok(Pins::of(&lab.name().parse().map_err(anyhow::Error::msg)?))
}

fn find<K: aya::Pod>(pin: &Path, is_it: impl Fn(&K) -> bool) -> Result<Flow> {
    let map = Map::LruHashMap(MapData::from_pin(pin)?);
    let table: HashMap<MapData, K, Flow> = map.try_into()?;
    for entry in &table {
        let (key, flow) = entry?;
        if is_it(&key) {
            return Ok(flow);
        }
    }
    anyhow::bail!("no such flow")
}

/// What is known of the server's flow with the port of this client.
fn flow(lab: &Lab, family: Family, port: u16) -> Result<Flow> {
    let client = addressing::client(1, family);
    let port = port.to_be_bytes();
    match family {
        Family::V4 => find(&pins(lab)?.map(names::FLOWS4), |key: &FlowKey4| {
            IpAddr::from(octets4(key.remote)) == client && key.remote_port == port
        }),
        Family::V6 => find(&pins(lab)?.map(names::FLOWS6), |key: &FlowKey6| {
            IpAddr::from(Ipv6Addr::from(octets6(key.remote))) == client && key.remote_port == port
        }),
    }
}

/// Every acknowledgement inside what is in flight, with sequence numbers from everywhere, in the
/// client's name, while the client has been silent for longer than `rebind-idle`.
#[test]
fn a_stalled_download_is_not_rebound_by_guesses() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|prroute| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            let (client, shared) = (addressing::client(1, family), addressing::shared(family));
            let listener = socket::listen(&lab.host, shared, SERVER)?;
            let mut tcp = socket::tcp(&lab.client, client, shared, SERVER)?;
            tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
            let (mut server, _) = listener.accept().context("accept")?;
            let mut first = [0; 1000];
            server.write_all(&first).context("begin")?;
            tcp.read_exact(&mut first).context("the beginning")?;
            // From now on nothing of the client's arrives.
            lab.client.nft(&format!(
                "table inet silent {{
                chain out {{
                    type filter hook output priority 0;
                    tcp dport {SERVER} drop
                }}
            }}"
            ))?;
            let sending = std::thread::spawn(move || server.write_all(&vec![7; AMOUNT]));
            let port = tcp.local_addr()?.port();
            let (heard, sent) = wait::until("data in flight", PATIENCE, || {
                let flow = flow(&lab, family, port)?;
                let (heard, sent) = (flow.heard().unwrap_or(0), flow.sent().unwrap_or(0));
                Ok((sent.wrapping_sub(heard) > 10_000).then_some((heard, sent)))
            })?;
            aging::age(|name| pins(&lab).unwrap().map(name), seconds(5));
            let capture = leak(&lab)?;
            let way = Attacker::way(client, shared)?;
            let span = sent.wrapping_sub(heard);
            let ack = Flags { ack: true, ..Flags::default() };
            for guess in 0..GUESSES {
                let number = heard.wrapping_add(guess * (span / GUESSES + 1) % span);
                let sequence = guess.wrapping_mul(0x9e37_79b9);
                let frame = way.tcp((port, SERVER), ack, (sequence, number), &[])?;
                attacker.wire.send(&frame)?;
            }
            wait::until("the guesses were seen", PATIENCE, || {
                Ok((prroute.count("rebind_refused")? >= u64::from(GUESSES) / 2).then_some(()))
            })?;
            lab.client.run(&["nft", "delete", "table", "inet", "silent"])?;
            let mut rest = vec![0; AMOUNT];
            tcp.read_exact(&mut rest).context("the rest, over its own uplink")?;
            sending.join().map_err(|_| anyhow::anyhow!("the server panicked"))?.context("send")?;
            ensure!(flow(&lab, family, port)?.uplink() == 1, "it moved");
            expect_no_leak(capture)?;
        }
        Ok(())
    })
}
