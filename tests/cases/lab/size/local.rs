//! Sockets of the host itself, on own and shared addresses.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::own_source::in_both_modes;
use prroute_tests::socket;

use super::sizes;
use super::transfer;

const PORT: u16 = 7007;

/// Bytes of the TCP transfer, each way.
const TRANSFER: usize = 100 << 20;

fn targets() -> impl Iterator<Item = (Family, IpAddr)> {
    Family::BOTH.into_iter().flat_map(|family| {
        [addressing::host(2, family), addressing::shared(family)].map(|target| (family, target))
    })
}

#[test]
fn a_hundred_megabytes_arrive_over_the_smaller_uplink() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = sizes::lab(&[9000, 1280])?;
        let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
        lab.with_own_source(own_source, |prroute| {
            for (family, target) in targets() {
                let source = addressing::client(2, family);
                let stream = socket::tcp(&lab.client, source, target, PORT)?;
                transfer::both_ways(stream, TRANSFER).with_context(|| format!("with {target}"))?;
            }
            ensure!(prroute.count("redirected")? > 0, "replies from the shared address are moved");
            assert_eq!(prroute.count("too_big")?, 0);
            Ok(())
        })?;
        drop(echo);
        Ok(())
    })
}

/// Main's default route is by uplink 1; the requests come in on uplink 2, which is smaller.
fn datagrams_arrive_over_the_smaller_of(mtus: [u32; 2]) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = sizes::lab(&mtus)?;
        let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
        lab.with_own_source(own_source, |prroute| {
            for (family, target) in targets() {
                let source = addressing::client(2, family);
                transfer::datagrams(&lab.client, source, SocketAddr::new(target, PORT))?;
            }
            ensure!(prroute.count("sender_told")? > 0, "nobody was told");
            transfer::every_sender_was_told(prroute)
        })?;
        drop(echo);
        Ok(())
    })
}

#[test]
fn large_datagrams_arrive_once_their_sender_knows_the_size() -> Result<()> {
    datagrams_arrive_over_the_smaller_of([9000, 1280])
}

/// The host's own fragments are too big: the error quotes one, and its ports.
#[test]
fn fragments_arrive_once_their_sender_knows_the_size() -> Result<()> {
    datagrams_arrive_over_the_smaller_of([1500, 1280])
}

/// Main's default route is by uplink 1; the host asks from the address of uplink 2, which is smaller.
#[test]
fn what_the_host_opens_arrives_over_the_smaller_uplink() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = sizes::lab(&[9000, 1280])?;
        let servers = Family::BOTH.map(|family| addressing::client(2, family));
        let echo = Echo::start(&lab.client, &servers, PORT)?;
        lab.with_own_source(own_source, |prroute| {
            for (family, target) in Family::BOTH.into_iter().zip(servers) {
                let source = addressing::host(2, family);
                let told = || format!("from {source}");
                let stream = socket::tcp(&lab.host, source, target, PORT).with_context(told)?;
                transfer::both_ways(stream, TRANSFER / 5).with_context(told)?;
                transfer::datagrams(&lab.host, source, SocketAddr::new(target, PORT))
                    .with_context(told)?;
                assert_eq!(lab.router(1).arrived(source, target)?, 0, "{source}");
            }
            transfer::every_sender_was_told(prroute)
        })?;
        drop(echo);
        Ok(())
    })
}
