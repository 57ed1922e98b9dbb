//! The key of a flow: its addresses and ports on the wire.

use bytemuck::{Pod, Zeroable};

use crate::address::{Address4, Address6};

/// A flow of IPv4, as seen on the wire of the uplinks.
///
/// ICMP echo uses its identifier as `local_port` and 0 as `remote_port`: only flows in which
/// the host is asked have such a key. Protocols without ports use 0 for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey4 {
    pub local: Address4,
    pub remote: Address4,
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey4>() == 16);

/// A flow of IPv6; see [`FlowKey4`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey6 {
    pub local: Address6,
    pub remote: Address6,
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey6>() == 40);
