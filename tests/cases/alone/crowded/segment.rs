//! The segment of uplink 3, on which somebody announces or configures thousands.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use anyhow::{Context as _, Result};
use etherparse::{IpNumber, Ipv6Header, PacketBuilder};
use prroute_tests::addressing;
use prroute_tests::frame::{self, Wire};
use prroute_tests::lab::Lab;
use prroute_tests::router;

/// Router advertisements, and on-link prefixes in each.
pub(crate) const ADVERTISEMENTS: u16 = 150;
const PREFIXES_EACH: u16 = 40;

/// IPv4 addresses of uplink 3, and shared ones of IPv6.
pub(crate) const ADDRESSES: u16 = 9_000;

/// ICMPv6 type of a router advertisement, its option for prefixes, and what the prefixes are:
/// on the link, for a day, and nothing to take an address from.
const ADVERTISEMENT: u8 = 134;
const PREFIX_OPTION: [u8; 4] = [3, 4, 64, 0x80];
const LIFETIME: u32 = 86_400;

/// What the kernel needs to accept the advertisements that [`advertise`] sends.
pub(crate) fn listen(lab: &Lab) -> Result<()> {
    lab.host.sysctl(&[
        "net.ipv6.conf.up3.accept_ra=2",
        "net.ipv6.conf.up3.autoconf=0",
        "net.ipv6.conf.up3.accept_ra_defrtr=0",
    ])
}

/// Prefix number `n`; those of one `set` are none of another's.
fn prefix(set: u16, n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + set, n, 0, 0, 0, 0)
}

/// Announces 6,000 prefixes that are on the link of uplink 3.
pub(crate) fn advertise(lab: &Lab, set: u16) -> Result<()> {
    let wire = Wire::open(&lab.router(3).namespace, router::LAN)?;
    (0..ADVERTISEMENTS).try_for_each(|number| wire.send(&advertisement(set, number)?))
}

fn advertisement(set: u16, number: u16) -> Result<Vec<u8>> {
    let source: Ipv6Addr = addressing::GATEWAY_LINK_LOCAL.parse()?;
    // Reachable time and retransmission timer: unspecified.
    let mut body = vec![0; 8];
    for n in 0..PREFIXES_EACH {
        body.extend(PREFIX_OPTION);
        body.extend(LIFETIME.to_be_bytes());
        body.extend(LIFETIME.to_be_bytes());
        body.extend([0; 4]);
        body.extend(prefix(set, number * PREFIXES_EACH + n).octets());
    }
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let header = Ipv6Header {
        hop_limit: 255,
        source: source.octets(),
        destination: all_nodes.octets(),
        next_header: IpNumber::IPV6_ICMP,
        ..Ipv6Header::default()
    };
    let from = frame::mac(&addressing::gateway_mac(3))?;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from, [0x33, 0x33, 0, 0, 0, 1])
        .ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
        // No default gateway: a lifetime of 0.
        .icmpv6_raw(ADVERTISEMENT, 0, [64, 0, 0, 0])
        .write(&mut frame, &body)
        .context("write a router advertisement")?;
    Ok(frame)
}

/// As many routes to the link of uplink 3, for IPv4.
pub(crate) fn route4(lab: &Lab) -> Result<()> {
    let mut batch = String::new();
    for n in 0..ADVERTISEMENTS * PREFIXES_EACH {
        let [high, low] = n.to_be_bytes();
        writeln!(batch, "route add 100.{high}.{low}.0/24 dev up3")?;
    }
    lab.host.ip_batch(&batch)
}

/// How many of the prefixes of a set the host has taken.
pub(crate) fn taken(lab: &Lab, set: u16) -> Result<usize> {
    let prefix = format!("2001:db8:{:x}:", 0x1000 + set);
    let routes = lab.host.ip("-6 route show dev up3")?;
    Ok(routes.lines().filter(|route| route.starts_with(&prefix)).count())
}

/// Takes the prefixes of a set back.
pub(crate) fn expire(lab: &Lab, set: u16) -> Result<()> {
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + set, 0, 0, 0, 0, 0);
    lab.host.ip(&format!("-6 route flush dev up3 root {prefix}/48")).map(drop)
}

/// Takes it all back.
pub(crate) fn clear(lab: &Lab) -> Result<()> {
    lab.host.ip("-6 route flush dev up3 root 2001:db8:1000::/36")?;
    lab.host.ip("-4 route flush dev up3 root 100.0.0.0/8").map(drop)
}

/// Gives uplink 3 thousands of addresses of IPv4, and the host as many of IPv6.
pub(crate) fn address(lab: &Lab) -> Result<()> {
    let mut batch = String::new();
    for n in 0..ADDRESSES {
        let [high, low] = n.to_be_bytes();
        writeln!(batch, "address add 10.103.{high}.{low}/16 dev up3")?;
        writeln!(batch, "address add 2001:db8:6a::{n:x}/128 dev lo")?;
    }
    lab.host.ip_batch(&batch)
}
