//! The loader hands the shared types to aya as plain bytes.

use crate::address::{Address4, Address6, LocalAddress};
use crate::flow::{Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict};
use crate::observe::WrongUplinkKey;
use crate::trace::{Filter, Rate};
use crate::udp_origin::{HostPeer, Peer, UdpOrigin};
use crate::uplink::{IfindexSlot, OnLink4, OnLink6, UplinkFacts, UplinkIdentity};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: the type is bytemuck::Pod: repr(C), Copy, without padding, and valid for
            // every bit pattern.
            unsafe impl aya::Pod for $type {}
        )+
    };
}

pod!(LocalAddress, Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict);
pod!(IfindexSlot, OnLink4, OnLink6, UplinkFacts, UplinkIdentity, WrongUplinkKey);
pod!(Filter, Rate);
// Without bytemuck's word, but of the same kind: integers, addresses of integers, explicit padding.
pod!(Peer<Address4>, Peer<Address6>, UdpOrigin<Address4>, UdpOrigin<Address6>, HostPeer);
