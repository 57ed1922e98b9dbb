//! The tables that grow with the network: local addresses and prefixes, and on-link prefixes. What
//! does not fit has been left out before ([`crate::state::share`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use ipnet::IpNet;
use prroute_common::address::{
    Address4, Address6, LocalAddress as AddressEntry, MAX_ADDRESSES, MAX_LOCAL_PREFIXES,
    PrefixAddress6, address4, address6, octets4, octets6,
};
use prroute_common::names;
use prroute_common::time::Ticks;
use prroute_common::uplink::{MAX_ON_LINK, OnLink4, OnLink6};

use crate::datapath::error::Result;
use crate::datapath::flows::coarse_now;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use crate::datapath::prefixes::{Prefixes, keys, keys_of_uplinks};
use crate::state::uplink::{LocalAddress, Uplink};

pub(super) struct Addresses {
    /// When a packet for an address of each uplink last came in elsewhere, or may have: written by the programs too, and
    /// kept when another version of them takes over.
    exposed: Array<MapData, Ticks>,
    addresses4: HashMap<MapData, Address4, AddressEntry>,
    addresses6: HashMap<MapData, Address6, AddressEntry>,
    prefixes4: Prefixes<Address4>,
    prefixes6: Prefixes<PrefixAddress6>,
    on_link4: Prefixes<OnLink4>,
    on_link6: Prefixes<OnLink6>,
}

impl Addresses {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            exposed: open(pins, names::EXPOSED, Map::Array)?,
            addresses4: open(pins, names::ADDRESSES4, Map::HashMap)?,
            addresses6: open(pins, names::ADDRESSES6, Map::HashMap)?,
            prefixes4: Prefixes::open(pins, names::LOCAL_PREFIXES4, MAX_LOCAL_PREFIXES)?,
            prefixes6: Prefixes::open(pins, names::LOCAL_PREFIXES6, MAX_LOCAL_PREFIXES)?,
            on_link4: Prefixes::open(pins, names::ON_LINK4, MAX_ON_LINK)?,
            on_link6: Prefixes::open(pins, names::ON_LINK6, MAX_ON_LINK)?,
        })
    }

    /// What packets need is added before what they no longer need is removed, as far as there is
    /// room for both.
    pub(super) fn sync(
        &mut self,
        uplinks: &[Uplink],
        locals: &[LocalAddress],
        prefixes: &[IpNet],
    ) -> Result<()> {
        let (v4, v6) = keys(prefixes);
        let prefixes = self.prefixes4.sync(&v4).and(self.prefixes6.sync(&v6));
        let (v4, v6) = keys_of_uplinks(
            uplinks
                .iter()
                .flat_map(|uplink| uplink.device.on_link.iter().map(move |net| (uplink.id, net))),
        );
        let on_link = self.on_link4.sync(&v4).and(self.on_link6.sync(&v6));
        let (wanted4, wanted6) = entries(locals);
        let exposed = &mut self.exposed;
        let addresses4 =
            sync_addresses(&mut self.addresses4, names::ADDRESSES4, &wanted4, exposed, |key| {
                IpAddr::from(Ipv4Addr::from(octets4(*key)))
            });
        let addresses6 =
            sync_addresses(&mut self.addresses6, names::ADDRESSES6, &wanted6, exposed, |key| {
                IpAddr::from(Ipv6Addr::from(octets6(*key)))
            });
        prefixes.and(on_link).and(addresses4).and(addresses6)
    }
}

type Entries<A> = Vec<(A, u32)>;

/// Addresses and the ids of their owners, by family.
fn entries(locals: &[LocalAddress]) -> (Entries<Address4>, Entries<Address6>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for local in locals {
        let owner = local.owner.map_or(0, |id| u32::from(id.0));
        match local.address {
            IpAddr::V4(address) => v4.push((address4(address.octets()), owner)),
            IpAddr::V6(address) => v6.push((address6(address.octets()), owner)),
        }
    }
    (v4, v6)
}

fn sync_addresses<K: aya::Pod>(
    map: &mut HashMap<MapData, K, AddressEntry>,
    name: &'static str,
    wanted: &[(K, u32)],
    exposed: &mut Array<MapData, Ticks>,
    address: impl Fn(&K) -> IpAddr,
) -> Result<()> {
    let present: Vec<K> =
        map.keys().collect::<std::result::Result<_, _>>().map_err(failed("read", name))?;
    let there: BTreeSet<IpAddr> = present.iter().map(&address).collect();
    let stays: BTreeSet<IpAddr> = wanted.iter().map(|(key, _)| address(key)).collect();
    let mut superfluous = present.iter().filter(|key| !stays.contains(&address(key)));
    let new = wanted.iter().filter(|(key, _)| !there.contains(&address(key))).count();
    for key in superfluous.by_ref().take(excess(present.len(), new, MAX_ADDRESSES)) {
        map.remove(key).map_err(failed("delete from", name))?;
    }
    for (key, owner) in wanted {
        match map.get(key, 0) {
            // The entry carries the exposure stamp.
            Ok(entry) if entry.owner == *owner => continue,
            Ok(_) | Err(MapError::KeyNotFound) => {}
            Err(source) => return Err(failed("read", name)(source)),
        }
        let exposed_at = exposed_at(exposed, *owner, present.is_empty())?;
        let entry = AddressEntry { owner: *owner, exposed_at };
        map.insert(key, entry, 0).map_err(failed("write", name))?;
    }
    for key in superfluous {
        map.remove(key).map_err(failed("delete from", name))?;
    }
    Ok(())
}

/// When an address that is new, or that another uplink owned, counts as asked elsewhere: now, for it may have been there
/// before, with connections that came in on other uplinks. Of the first ones, which other programs may have had, when
/// one of their owner's was. What is wrong in that costs lookups alone.
fn exposed_at(exposed: &mut Array<MapData, Ticks>, owner: u32, is_first: bool) -> Result<Ticks> {
    if is_first || owner == 0 {
        return exposed.get(&owner, 0).map_err(failed("read", names::EXPOSED));
    }
    let now = coarse_now();
    exposed.set(owner, now, 0).map_err(failed("write", names::EXPOSED))?;
    Ok(now)
}

/// How many have to go before all new ones can come.
const fn excess(present: usize, new: usize, capacity: u32) -> usize {
    (present + new).saturating_sub(capacity as usize)
}
