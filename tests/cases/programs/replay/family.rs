//! What the families of a generated packet differ in.

use std::net::IpAddr;

use prroute_common::address::{octets4, octets6};
use prroute_common::flow::{FlowKey4, FlowKey6};
use prroute_ebpf::wire::{Address4, Address6, Ipv4, Ipv6, Wire};

use super::traces::Listed;

/// A family that can be listed.
pub(super) trait Readable: Wire {
    fn ip(address: Self::Address) -> IpAddr;
    fn listed(key: &Self::Key, opened_inbound: bool) -> Listed;
    /// Where the addresses lie in a header, and their length.
    const ADDRESSES: (usize, usize);
    const ECHO: [u8; 2];
}

macro_rules! listed {
    ($key:expr, $opened_inbound:expr) => {{
        let (local_port, remote_port) =
            (u16::from_be_bytes($key.local_port), u16::from_be_bytes($key.remote_port));
        let local = (Self::ip($key.local), local_port);
        (local, (Self::ip($key.remote), remote_port), $key.protocol, $opened_inbound)
    }};
}

impl Readable for Ipv4 {
    const ADDRESSES: (usize, usize) = (12, 4);
    const ECHO: [u8; 2] = [8, 0];

    fn ip(address: Address4) -> IpAddr {
        octets4(address).into()
    }

    fn listed(key: &FlowKey4, opened_inbound: bool) -> Listed {
        listed!(key, opened_inbound)
    }
}

impl Readable for Ipv6 {
    const ADDRESSES: (usize, usize) = (8, 16);
    const ECHO: [u8; 2] = [128, 129];

    fn ip(address: Address6) -> IpAddr {
        octets6(address).into()
    }

    fn listed(key: &FlowKey6, opened_inbound: bool) -> Listed {
        listed!(key, opened_inbound)
    }
}
