//! Packets that waited for the link-layer address of their next hop.
//!
//! When that is found the kernel takes the packet's neighbour from the route that the packet had before
//! it was redirected (`neigh_update`): the frame leaves by the right device, but with the link-layer
//! addresses of the other one. A switch would learn from it that the other device is here.

use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::wire::packet::Packet as _;
use prroute_ebpf::wire::{Ipv4, Ipv6};

use super::action::Action;
use super::skb::{Network, Skb};
use super::{deliver, headers};

/// Sends a packet that was redirected to `here` there once more, if it has waited: by now the address
/// is known.
#[inline(always)]
pub(super) fn send_again(skb: &Skb, here: &UplinkFacts) -> Action {
    let has_waited =
        skb.redirected_to() == u32::from(here.id) && headers::sender_of_frame(skb, here) != 0;
    if has_waited { again(skb, here) } else { Action::Pass }
}

#[inline(never)]
fn again(skb: &Skb, here: &UplinkFacts) -> Action {
    let network = headers::network(here);
    match skb.network() {
        Network::Ipv4 => {
            let Some(words) = skb.linear().read(network) else { return Action::Pass };
            let [_, _, _, source, destination]: [u32; 5] = words;
            deliver::once_more::<Ipv4>(skb, here, source, destination)
        }
        Network::Ipv6 => {
            let Some(words) = skb.linear().read(network) else { return Action::Pass };
            let [_, s0, s1, d0, d1]: [u64; 5] = words;
            deliver::once_more::<Ipv6>(skb, here, [s0, s1], [d0, d1])
        }
        Network::Tagged | Network::Other => Action::Pass,
    }
}
