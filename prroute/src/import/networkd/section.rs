//! Sections of networkd's files.

use std::sync::Arc;

use super::super::model::{Place, Setup};
use super::super::unread::Subject;

/// Of `.network` files.
const OF_NETWORKS: &str = "Match Link Network Address Neighbor IPv6AddressLabel RoutingPolicyRule NextHop Route DHCP DHCPv4 \
    DHCPv6 DHCPPrefixDelegation IPv6PrefixDelegation IPv6AcceptRA DHCPServer DHCPServerStaticLease \
    IPv6SendRA IPv6Prefix IPv6RoutePrefix IPv6PREF64Prefix Bridge BridgeFDB BridgeMDB BridgeVLAN LLDP \
    CAN IPoIB SR-IOV MobileNetwork QDisc NetworkEmulator TokenBucketFilter PIE FlowQueuePIE \
    StochasticFairBlue StochasticFairnessQueueing BFIFO PFIFO PFIFOHeadDrop PFIFOFast CAKE \
    ControlledDelay DeficitRoundRobinScheduler DeficitRoundRobinSchedulerClass \
    EnhancedTransmissionSelection GenericRandomEarlyDetection FairQueueingControlledDelay FairQueueing \
    TrivialLinkEqualizer HierarchyTokenBucket HierarchyTokenBucketClass ClassfulMultiQueueing \
    BandMultiQueueing HeavyHitterFilter QuickFairQueueing QuickFairQueueingClass";
/// Of `.netdev` and `.link` files.
const OF_DEVICES: &str = "NetDev VLAN MACVLAN MACVTAP IPVLAN IPVTAP VXLAN GENEVE BareUDP L2TP L2TPSession MACsec \
    MACsecReceiveChannel MACsecTransmitAssociation MACsecReceiveAssociation Tunnel FooOverUDP Peer VXCAN \
    Tun Tap WireGuard WireGuardPeer Bond Xfrm VRF BatmanAdvanced WLAN HSR EnergyEfficientEthernet";

pub(super) struct Section {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) keys: Vec<Key>,
}

pub(super) struct Key {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

pub(super) fn sections(name: &str, text: &str, setup: &mut Setup) -> Vec<Section> {
    let source: Arc<str> = name.into();
    let mut sections: Vec<Section> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let place = || Place { source: source.clone(), line: Some(number) };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section { name: name.to_owned(), line: number, keys: Vec::new() });
            continue;
        }
        match (line.split_once('='), sections.last_mut()) {
            (Some((key, value)), Some(section)) => {
                let (name, value) = (key.trim().to_owned(), value.trim().to_owned());
                section.keys.push(Key { name, value, line: number });
            }
            _ => setup.miss(place(), "neither a section nor `KEY=VALUE`"),
        }
    }
    sections
}

/// Whether a file is networkd's by its sections. One of NetworkManager's connections, a unit, or what a later
/// version of networkd has may make any rule and route: that is told.
pub(super) fn are_known(name: &str, sections: &[Section], setup: &mut Setup) -> bool {
    let is_known = |name: &str| {
        let mut known = OF_NETWORKS.split_whitespace().chain(OF_DEVICES.split_whitespace());
        name.starts_with("X-") || known.any(|known| known == name)
    };
    let managers = sections.iter().find(|section| section.name == "connection");
    let unknown = || sections.iter().find(|section| !is_known(&section.name));
    let Some(section) = managers.or_else(unknown) else { return true };
    let why = match managers {
        Some(_) => {
            "connections of NetworkManager are not read: import the running host instead".to_owned()
        }
        None => format!(
            "[{}] is no section that is known here, and may make rules and routes: import the \
             running host instead",
            section.name
        ),
    };
    let place = Place { source: name.into(), line: Some(section.line) };
    setup.miss_of(place, Subject::Anything, why);
    managers.is_none()
}
