//! The address plan. Every lab has the same: its namespaces keep it apart from others.
//!
//! Uplinks and routers are numbered from 1. All addresses are of ranges for documentation and
//! private use, and nothing is routed beyond the lab.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The option of `ip`, `ping` and `dig`.
    pub fn option(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The host's name for uplink `number`.
pub fn device(number: u8) -> String {
    format!("up{number}")
}

/// The prefix of uplink `number`'s link.
pub fn prefix(number: u8, family: Family) -> String {
    match family {
        Family::V4 => format!("10.0.{number}.0/24"),
        Family::V6 => format!("2001:db8:{number:x}::/64"),
    }
}

fn on_link(number: u8, family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, number, host).into(),
        Family::V6 => {
            let last = u16::from(host);
            Ipv6Addr::new(0x2001, 0xdb8, u16::from(number), 0, 0, 0, 0, last).into()
        }
    }
}

/// The host's own address on uplink `number`.
pub fn host(number: u8, family: Family) -> IpAddr {
    on_link(number, family, 10)
}

/// The router's address on uplink `number`'s link.
pub fn gateway(number: u8, family: Family) -> IpAddr {
    on_link(number, family, 1)
}

/// The link-local address every router has on its link.
pub const GATEWAY_LINK_LOCAL: &str = "fe80::1";

/// A client on uplink `number`'s own link.
pub fn neighbour(number: u8, family: Family) -> IpAddr {
    on_link(number, family, 200)
}

/// The link-layer address of the host's uplink `number`.
pub fn host_mac(number: u8) -> String {
    format!("02:00:00:00:{number:02x}:10")
}

/// The link-layer address of router `number` on its link to the host.
pub fn gateway_mac(number: u8) -> String {
    format!("02:00:00:00:{number:02x}:01")
}

/// The address that all uplinks share: it is on the host's loopback device.
pub fn shared(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x5a, 0, 0, 0, 0, 1).into(),
    }
}

/// The prefix behind the host that its guests have.
pub fn guests(family: Family) -> &'static str {
    match family {
        Family::V4 => "192.0.2.0/24",
        Family::V6 => "2001:db8:77::/64",
    }
}

fn among_guests(family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, host).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, u16::from(host)).into(),
    }
}

/// The guest behind the host.
pub fn guest(family: Family) -> IpAddr {
    among_guests(family, 10)
}

/// The host's address on the guests' link.
pub fn guest_gateway(family: Family) -> IpAddr {
    among_guests(family, 1)
}

/// The address of pod `number`; the host's on their bridge is number 0.
pub fn pod(number: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(172, 17, 0, 1 + number).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x17, 0, 0, 0, 0, 0, 1 + u16::from(number)).into(),
    }
}

fn on_wan(family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 51, 100, host).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, u16::from(host)).into(),
    }
}

/// The client's source address whose packets go through router `number`.
pub fn client(number: u8, family: Family) -> IpAddr {
    on_wan(family, 10 + number)
}

/// Router `number`'s address on the WAN.
pub fn router_wan(number: u8, family: Family) -> IpAddr {
    on_wan(family, 200 + number)
}

/// An address of the client for which no router keeps state: what it sends passes through any
/// router, whichever the packets before took.
pub fn stateless_client(family: Family) -> IpAddr {
    on_wan(family, 99)
}

/// The WAN's prefix length.
pub fn wan_prefix_length(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// Words behind an IPv6 address that is used at once: until a busy kernel finds the time, the address is tentative, on
/// loopback too, and no program can bind to it.
pub fn at_once(family: Family) -> &'static str {
    match family {
        Family::V4 => "",
        Family::V6 => "nodad",
    }
}

/// The prefix length of every uplink's link.
pub fn prefix_length(family: Family) -> u8 {
    wan_prefix_length(family)
}

/// The prefix length of a single address.
pub fn full_length(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// Ports of the WAN that the routers let the host open flows to.
pub const OUTBOUND_PORTS: &str = "7000-7099";
