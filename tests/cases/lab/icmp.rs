//! ICMP errors leave by the uplink of the packet they are about, from an address that is right
//! there, and open nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::{echo, socket, wait};

const CLOSED: u16 = 33_434;

/// Errors are not held back while one case asks for many.
fn without_rate_limit(lab: &Lab) -> Result<()> {
    lab.host.sysctl(&["net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
}

/// Whether a datagram to a closed port is refused.
fn is_refused(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<bool> {
    let socket = socket::udp(&lab.client, source, 0)?;
    socket.set_read_timeout(Some(wait::patience(Duration::from_secs(2))))?;
    socket.connect(SocketAddr::new(target, CLOSED))?;
    socket.send(b"anybody?")?;
    match socket::uninterrupted(|| socket.recv(&mut [0; 16])) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if echo::is_timeout(&error) => Ok(false),
        Err(error) => Err(error).context("wait for a refusal"),
        Ok(_) => anyhow::bail!("{target} answers on a port that should be closed"),
    }
}

/// Uplink, target, and whether it was refused: for each uplink's own and the shared address.
fn refusals(lab: &Lab) -> Result<Vec<(u8, IpAddr, bool)>> {
    let mut asked = Vec::new();
    for n in 1..=3 {
        for family in Family::BOTH {
            let source = addressing::client(n, family);
            for target in [addressing::host(n, family), addressing::shared(family)] {
                asked.push((n, source, target));
            }
        }
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = asked
            .into_iter()
            .map(|(n, source, target)| {
                scope.spawn(move || Ok((n, target, is_refused(lab, source, target)?)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a question panicked")).collect()
    })
}

const ERRORS: &str = "icmp[icmptype] == icmp-unreach or icmp[icmptype] == icmp-timxceed \
                      or (icmp6 and (ip6[40] == 1 or ip6[40] == 3))";

#[test]
fn a_closed_port_is_unreachable_over_every_uplink() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
        without_rate_limit(&lab)?;
        lab.meet_default_gateway()?;
        for (n, target, refused) in refusals(&lab)? {
            assert_eq!(refused, n == 1, "without prroute, uplink {n}, {target}");
        }
        lab.with_own_source(own_source, |prroute| {
            let captures = (1..=3)
                .map(|n| Capture::start(&lab.host, &addressing::device(n), "out", ERRORS))
                .collect::<Result<Vec<_>>>()?;
            for (n, target, refused) in refusals(&lab)? {
                assert!(refused, "uplink {n}, {target}");
            }
            for (capture, n) in captures.into_iter().zip(1..) {
                capture.wait_for(4, SOON)?;
                let errors = capture.stop()?;
                assert_eq!(errors.len(), 4, "uplink {n}: {errors:#?}");
                for family in Family::BOTH {
                    let client = addressing::client(n, family);
                    for source in [addressing::host(n, family), addressing::shared(family)] {
                        let line = format!(" {source} > {client}: ");
                        let found = errors.iter().filter(|error| error.contains(&line)).count();
                        assert_eq!(found, 1, "uplink {n}, from {source}: {errors:#?}");
                    }
                }
            }
            // Three flows to the shared address per family, those to own addresses, nothing by errors.
            let by_errors = prroute.flows(|flow| {
                flow["protocol_number"] != 17
                    || flow["opened_inbound"] != true
                    || flow["confirmed"] == true
            })?;
            assert!(by_errors.is_empty(), "{by_errors:#?}");
            let asked = prroute.flows(|flow| flow["protocol_number"] == 17)?;
            assert_eq!(asked.len(), 12, "one for each question: {asked:#?}");
            Ok(())
        })
    })
}

/// The errors that the host sends and the client hears.
struct Hop {
    sent: Vec<String>,
    heard: Vec<String>,
}

/// A datagram whose hops end at the host, towards a guest behind it: traceroute's question, over
/// uplink `n`. The error is awaited where it leaves: on uplink `by`.
fn hop(lab: &Lab, family: Family, n: u8, by: u8) -> Result<Hop> {
    let heard = Capture::start(&lab.client, &format!("r{n}"), "in", ERRORS)?;
    let sent = Capture::start(&lab.host, &addressing::device(by), "out", ERRORS)?;
    let socket = socket::udp(&lab.client, addressing::client(n, family), 0)?;
    socket::set_hops(&socket, 2)?;
    socket.send_to(b"who is there?", SocketAddr::new(addressing::guest(family), CLOSED))?;
    sent.wait_for(1, SOON)?;
    if n == by {
        heard.wait_for(1, SOON)?;
    }
    Ok(Hop { sent: sent.stop()?, heard: heard.stop()? })
}

const SOON: Duration = Duration::from_secs(3);

fn a_hop_in_front_of_a_guest_answers_with_an_address_of_the_uplink(family: Family) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { ip_forward: true, ..Topology::DEFAULT })?;
        without_rate_limit(&lab)?;
        let guest = lab.guest()?;
        lab.meet_default_gateway()?;
        for n in 1..=3 {
            let Hop { sent, heard } = hop(&lab, family, n, 1)?;
            assert_eq!(sent.len(), 1, "without prroute it leaves by uplink 1: {sent:#?}");
            assert_eq!(heard.len(), if n == 1 { 1 } else { 0 }, "without prroute: {heard:#?}");
        }
        lab.with_own_source(own_source, |prroute| {
            for n in 1..=3 {
                let Hop { sent, heard } = hop(&lab, family, n, n)?;
                let line = format!(
                    " {} > {}: ",
                    addressing::host(n, family),
                    addressing::client(n, family)
                );
                let right = |errors: &[String]| errors.len() == 1 && errors[0].contains(&line);
                assert!(right(&sent) && right(&heard), "{line}: {sent:#?} {heard:#?}");
            }
            let by_errors = prroute.flows(|flow| flow["protocol_number"] != 17)?;
            assert!(by_errors.is_empty(), "{by_errors:#?}");
            Ok(())
        })?;
        drop(guest);
        Ok(())
    })
}

#[test]
fn a_hop_in_front_of_a_guest_answers_with_an_address_of_the_uplink_ipv4() -> Result<()> {
    a_hop_in_front_of_a_guest_answers_with_an_address_of_the_uplink(Family::V4)
}

#[test]
fn a_hop_in_front_of_a_guest_answers_with_an_address_of_the_uplink_ipv6() -> Result<()> {
    a_hop_in_front_of_a_guest_answers_with_an_address_of_the_uplink(Family::V6)
}

/// An error from outside, about what the host sent, reaches the socket and opens nothing.
#[test]
fn errors_that_come_in_open_nothing() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology::DEFAULT)?;
        lab.client.sysctl(&["net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])?;
        lab.steer_both(2)?;
        lab.with_own_source(own_source, |prroute| {
            for family in Family::BOTH {
                // It leaves by uplink 1; the error comes back over uplink 2.
                let socket = socket::udp(&lab.host, addressing::shared(family), 0)?;
                socket.connect(SocketAddr::new(addressing::stateless_client(family), CLOSED))?;
                socket.send(b"anybody?")?;
                let answer = socket::uninterrupted(|| socket.recv(&mut [0; 16]));
                let error = answer.expect_err("nobody answers");
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{family}");
            }
            let flows = prroute.flows(|_| true)?;
            assert_eq!(flows.len(), 2, "{flows:#?}");
            let by_host =
                |flow: &serde_json::Value| flow["opened_inbound"] == false && flow["uplink"] == 1;
            assert!(flows.iter().all(by_host), "{flows:#?}");
            Ok(())
        })
    })
}
