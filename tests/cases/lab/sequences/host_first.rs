//! Datagrams where the host speaks first after a pause: calls to a telephone that has registered,
//! rekeying, dead peer detection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::{socket, wait};

use super::{Astray, TOPOLOGY, pass, shared_and_client};

/// Of SIP: a service's port at both ends.
const SIP: u16 = 5060;
/// Of WireGuard: one that the kernel gives to clients too.
const VPN: u16 = 51_820;

/// The telephone asks, and the host answers.
fn asks(phone: &UdpSocket, host: &UdpSocket, local: SocketAddr) -> Result<()> {
    phone.send_to(b"REGISTER", local).context("the telephone asks")?;
    let mut text = [0; 64];
    let (size, from) =
        socket::uninterrupted(|| host.recv_from(&mut text)).context("the host hears")?;
    ensure!(&text[..size] == b"REGISTER", "something else came in");
    host.send_to(b"OK", from).context("the host answers")?;
    let (size, from) = socket::uninterrupted(|| phone.recv_from(&mut text)).context("no answer")?;
    ensure!(&text[..size] == b"OK" && from == local, "another answer, from {from}");
    Ok(())
}

/// The host calls, and the telephone hears it.
fn calls(phone: &UdpSocket, host: &UdpSocket, local: SocketAddr) -> Result<()> {
    host.send_to(b"INVITE", phone.local_addr()?).context("the host calls")?;
    let mut text = [0; 64];
    let (size, from) =
        socket::uninterrupted(|| phone.recv_from(&mut text)).context("the call was not heard")?;
    ensure!(&text[..size] == b"INVITE" && from == local, "something else, from {from}");
    Ok(())
}

fn every_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Registered `rounds` times over uplink 2 at this port; the host calls after each pause.
fn host_calls(bound: impl Fn(Family) -> IpAddr, port: u16, rounds: usize) -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        lab.steer_both(2)?;
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            let local = SocketAddr::new(shared, port);
            let phone = socket::udp(&lab.client, client, SIP)?;
            let host = socket::udp(&lab.host, bound(family), port)?;
            for _ in 0..rounds {
                asks(&phone, &host, local)?;
            }
            let astray = Astray::watch(&lab, shared, client)?;
            for seconds in [190, 190, 3600, 86_400 * 30] {
                pass(&lab, Duration::from_secs(seconds))?;
                let context = || format!("{family} after {seconds} s");
                calls(&phone, &host, local).with_context(context)?;
                asks(&phone, &host, local).with_context(context)?;
            }
            for number in 0..20 {
                asks(&phone, &host, local).with_context(|| format!("request {number}"))?;
            }
            astray.expect_none()?;
        }
        Ok(())
    })
}

#[test]
fn a_call_after_a_pause_leaves_by_the_uplink_of_the_registration() -> Result<()> {
    host_calls(addressing::shared, SIP, 3)
}

#[test]
fn so_it_does_after_a_single_registration() -> Result<()> {
    host_calls(addressing::shared, SIP, 1)
}

#[test]
fn a_server_on_all_addresses_calls_from_the_one_that_was_registered_at() -> Result<()> {
    host_calls(every_address, SIP, 3)
}

/// A VPN renews its keys.
#[test]
fn so_does_a_server_at_a_clients_port_that_was_asked_twice() -> Result<()> {
    host_calls(addressing::shared, VPN, 2)?;
    host_calls(every_address, VPN, 3)
}

/// The host calls before it knows where its telephone is: the telephone's own requests tell.
#[test]
fn requests_win_back_a_flow_that_the_host_began_elsewhere() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|_| {
        lab.steer_both(2)?;
        // The first uplink is no way to the telephone.
        lab.router(1).namespace.nft(
            "table inet none {
                chain forward {
                    type filter hook forward priority 0;
                    udp dport 5060 drop
                }
            }",
        )?;
        for family in Family::BOTH {
            let (shared, client) = shared_and_client(family);
            let local = SocketAddr::new(shared, SIP);
            let phone = socket::udp(&lab.client, client, SIP)?;
            let host = socket::udp(&lab.host, shared, SIP)?;
            for _ in 0..3 {
                host.send_to(b"INVITE", phone.local_addr()?).context("the host calls")?;
            }
            // What comes at once would be the answer.
            let later = Instant::now() + Duration::from_millis(1_500);
            wait::until("it is no answer", Duration::from_secs(5), || {
                Ok((Instant::now() >= later).then_some(()))
            })?;
            for number in 0..20 {
                asks(&phone, &host, local)
                    .with_context(|| format!("{family}, request {number}"))?;
            }
            calls(&phone, &host, local)?;
        }
        Ok(())
    })
}
