//! What matters of a link: drivers, bridges and wireless announce links for much else.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkMessage;

use super::decode;
use crate::state::uplink::Ifindex;

/// The last known fingerprint of every link.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<u32, u64>);

impl Links {
    /// Whether an announcement tells something new that matters.
    pub(super) fn changed(&mut self, message: LinkMessage) -> bool {
        // A bridge's announcement of a port has few attributes.
        if message.header.interface_family != AddressFamily::Unspec {
            return true;
        }
        let index = message.header.index;
        let link = decode::link(message);
        let mut hasher = DefaultHasher::new();
        let identity = (&link.name, &link.altnames, &link.kind, link.mac, link.master, link.lower);
        let state = (link.mtu, link.admin_up, link.carrier, link.noarp, link.link_layer);
        (identity, state).hash(&mut hasher);
        let now = hasher.finish();
        self.0.insert(index, now) != Some(now)
    }

    /// Likewise of a link whose name cannot be used.
    pub(super) fn unnamed(&mut self, Ifindex(index): Ifindex, name: &str, gone: bool) -> bool {
        if gone {
            return self.0.remove(&index).is_some();
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let now = hasher.finish();
        self.0.insert(index, now) != Some(now)
    }

    pub(super) fn removed(&mut self, message: &LinkMessage) {
        if message.header.interface_family == AddressFamily::Unspec {
            self.0.remove(&message.header.index);
        }
    }
}
