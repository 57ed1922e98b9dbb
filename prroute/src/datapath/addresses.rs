//! The tables that grow with the network: local addresses and prefixes, and on-link prefixes. What
//! does not fit has been left out before ([`crate::state::share`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError};
use ipnet::IpNet;
use prroute_common::address::{
    Address4, Address6, LocalAddress as AddressEntry, MAX_ADDRESSES, MAX_LOCAL_PREFIXES,
    PrefixAddress6, address4, address6, octets4, octets6,
};
use prroute_common::names;
use prroute_common::uplink::{MAX_ON_LINK, OnLink4, OnLink6};

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use crate::state::uplink::{LocalAddress, Uplink};

pub(super) struct Addresses {
    addresses4: HashMap<MapData, Address4, AddressEntry>,
    addresses6: HashMap<MapData, Address6, AddressEntry>,
    prefixes4: LpmTrie<MapData, Address4, u32>,
    prefixes6: LpmTrie<MapData, PrefixAddress6, u32>,
    on_link4: LpmTrie<MapData, OnLink4, u32>,
    on_link6: LpmTrie<MapData, OnLink6, u32>,
}

impl Addresses {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            addresses4: open(pins, names::ADDRESSES4, Map::HashMap)?,
            addresses6: open(pins, names::ADDRESSES6, Map::HashMap)?,
            prefixes4: open(pins, names::LOCAL_PREFIXES4, Map::LpmTrie)?,
            prefixes6: open(pins, names::LOCAL_PREFIXES6, Map::LpmTrie)?,
            on_link4: open(pins, names::ON_LINK4, Map::LpmTrie)?,
            on_link6: open(pins, names::ON_LINK6, Map::LpmTrie)?,
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
        let prefixes = self.sync_prefixes(prefixes);
        let on_link = self.sync_on_link(uplinks);
        let (wanted4, wanted6) = entries(locals);
        let addresses4 = sync_addresses(&mut self.addresses4, names::ADDRESSES4, &wanted4, |key| {
            IpAddr::from(Ipv4Addr::from(octets4(*key)))
        });
        let addresses6 = sync_addresses(&mut self.addresses6, names::ADDRESSES6, &wanted6, |key| {
            IpAddr::from(Ipv6Addr::from(octets6(*key)))
        });
        prefixes.and(on_link).and(addresses4).and(addresses6)
    }

    fn sync_prefixes(&mut self, prefixes: &[IpNet]) -> Result<()> {
        let (mut wanted4, mut wanted6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            let length = u32::from(prefix.prefix_len());
            match prefix {
                IpNet::V4(net) => {
                    wanted4.push(Key::new(length, address4(net.network().octets())));
                }
                IpNet::V6(net) => {
                    wanted6.push(Key::new(length, bytemuck::cast(net.network().octets())));
                }
            }
        }
        let capacity = MAX_LOCAL_PREFIXES;
        let v4 = sync_trie(&mut self.prefixes4, names::LOCAL_PREFIXES4, capacity, &wanted4);
        v4.and(sync_trie(&mut self.prefixes6, names::LOCAL_PREFIXES6, capacity, &wanted6))
    }

    fn sync_on_link(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let mut wanted4 = Vec::new();
        let mut wanted6 = Vec::new();
        for uplink in uplinks {
            let id = u32::from(uplink.id.0).to_be_bytes();
            for prefix in &uplink.device.on_link {
                let length = 32 + u32::from(prefix.prefix_len());
                match prefix {
                    IpNet::V4(net) => {
                        let address = address4(net.network().octets());
                        wanted4.push(Key::new(length, OnLink4 { uplink: id, address }));
                    }
                    IpNet::V6(net) => {
                        let address = bytemuck::cast(net.network().octets());
                        wanted6.push(Key::new(length, OnLink6 { uplink: id, address }));
                    }
                }
            }
        }
        let v4 = sync_trie(&mut self.on_link4, names::ON_LINK4, MAX_ON_LINK, &wanted4);
        v4.and(sync_trie(&mut self.on_link6, names::ON_LINK6, MAX_ON_LINK, &wanted6))
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
        add_address(map, name, key, *owner)?;
    }
    for key in superfluous {
        map.remove(key).map_err(failed("delete from", name))?;
    }
    Ok(())
}

fn add_address<K: aya::Pod>(
    map: &mut HashMap<MapData, K, AddressEntry>,
    name: &'static str,
    address: &K,
    owner: u32,
) -> Result<()> {
    match map.get(address, 0) {
        // The entry carries the exposure stamp.
        Ok(entry) if entry.owner == owner => return Ok(()),
        Ok(_) | Err(MapError::KeyNotFound) => {}
        Err(source) => return Err(failed("read", name)(source)),
    }
    map.insert(address, AddressEntry { owner, exposed_at: 0 }, 0).map_err(failed("write", name))
}

fn sync_trie<K: aya::Pod + bytemuck::Pod>(
    trie: &mut LpmTrie<MapData, K, u32>,
    name: &'static str,
    capacity: u32,
    wanted: &[Key<K>],
) -> Result<()> {
    let words = |key: &Key<K>| (key.prefix_len(), bytemuck::bytes_of(&key.data()).to_vec());
    let present: Vec<Key<K>> =
        trie.keys().collect::<std::result::Result<_, _>>().map_err(failed("read", name))?;
    let there: BTreeSet<_> = present.iter().map(words).collect();
    let stays: BTreeSet<_> = wanted.iter().map(words).collect();
    let mut superfluous = present.iter().filter(|key| !stays.contains(&words(key)));
    let new: Vec<_> = wanted.iter().filter(|key| !there.contains(&words(key))).collect();
    for key in superfluous.by_ref().take(excess(present.len(), new.len(), capacity)) {
        trie.remove(key).map_err(failed("delete from", name))?;
    }
    for key in new {
        trie.insert(key, 1, 0).map_err(failed("write", name))?;
    }
    for key in superfluous {
        trie.remove(key).map_err(failed("delete from", name))?;
    }
    Ok(())
}

/// How many have to go before all new ones can come.
const fn excess(present: usize, new: usize, capacity: u32) -> usize {
    (present + new).saturating_sub(capacity as usize)
}
