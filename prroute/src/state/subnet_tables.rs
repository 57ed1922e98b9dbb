//! Routing tables of subnets with a gateway of their own.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::uplink::{SubnetGateway, Uplink, UplinkId};
use crate::config::Ranges;

/// The routing tables of the gateways in force, by uplink and subnet. A number depends on the subnet
/// and on its uplink's id alone, as long as no other one has it: it stays while others come and go.
pub(crate) fn tables(ranges: Ranges, uplinks: &[Uplink]) -> BTreeMap<(UplinkId, IpNet), u32> {
    let places = ranges.fixed_tables();
    let count = places.end() - places.start() + 1;
    let mut taken: BTreeSet<u32> = uplinks.iter().filter_map(|u| u.device.table).collect();
    let mut tables = BTreeMap::new();
    for uplink in uplinks {
        for SubnetGateway { net, .. } in uplink.device.subnet_gateways_in_force() {
            let first = hash(uplink.id, net) % count;
            let mut numbers = (0..count).map(|n| places.start() + (first + n) % count);
            if let Some(table) = numbers.find(|number| !taken.contains(number)) {
                taken.insert(table);
                tables.insert((uplink.id, *net), table);
            }
        }
    }
    tables
}

/// FNV-1a: the same in every version.
fn hash(id: UplinkId, net: &IpNet) -> u32 {
    format!("{id} {net}")
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
