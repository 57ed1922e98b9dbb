//! The maps that the loader writes: addresses, on-link prefixes, and the facts of each uplink.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError};
use ipnet::IpNet;
use prroute_common::address::{
    Address4, Address6, LocalAddress as AddressEntry, address4, address6, octets4, octets6,
};
use prroute_common::names;
use prroute_common::uplink::{
    IFINDEX_PROBES, IfindexSlot, MAX_UPLINKS, OnLink4, OnLink6, UplinkFacts, flag, mac_octets,
};

use crate::datapath::devices::Devices;
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::facts;
use crate::datapath::pins::Pins;
use crate::state::ids::KnownId;
use crate::state::uplink::{Ifindex, LocalAddress, Uplink, UplinkId};

/// Handles of the pinned tables.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Tables {
    addresses4: HashMap<MapData, Address4, AddressEntry>,
    addresses6: HashMap<MapData, Address6, AddressEntry>,
    on_link4: LpmTrie<MapData, OnLink4, u32>,
    on_link6: LpmTrie<MapData, OnLink6, u32>,
    slots: Array<MapData, IfindexSlot>,
    active: Array<MapData, u32>,
    facts: Array<MapData, UplinkFacts>,
    devices: Devices,
}

pub(super) fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
    as_map: fn(MapData) -> Map,
) -> Result<T> {
    MapData::from_pin(pins.map(name))
        .and_then(|data| T::try_from(as_map(data)))
        .map_err(failed("open pinned map", name))
}

pub(super) fn failed(
    operation: &'static str,
    name: &'static str,
) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::Map { operation, object: name.to_owned(), source }
}

impl Tables {
    /// Opens the tables of an instance whose programs have been loaded once.
    ///
    /// # Errors
    ///
    /// When a map is not pinned or cannot be opened.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            addresses4: open(pins, names::ADDRESSES4, Map::HashMap)?,
            addresses6: open(pins, names::ADDRESSES6, Map::HashMap)?,
            on_link4: open(pins, names::ON_LINK4, Map::LpmTrie)?,
            on_link6: open(pins, names::ON_LINK6, Map::LpmTrie)?,
            slots: open(pins, names::IFINDEX_SLOTS, Map::Array)?,
            active: open(pins, names::ACTIVE_FACTS, Map::Array)?,
            facts: open(pins, names::UPLINK_FACTS, Map::Array)?,
            devices: Devices::open(pins)?,
        })
    }

    /// The ids that flows may be bound to, with the devices they stand for.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn known_ids(&self) -> Result<Vec<KnownId>> {
        let mut known = Vec::new();
        for id in 1..MAX_UPLINKS {
            let Some(facts) = self.active_facts(id)? else { continue };
            known.push(KnownId {
                id: UplinkId(facts.id),
                generation: facts.generation,
                ifindex: Ifindex(facts.ifindex),
                mac: (facts.mac != 0).then(|| mac_octets(facts.mac)),
            });
        }
        Ok(known)
    }

    fn active_facts(&self, id: u32) -> Result<Option<UplinkFacts>> {
        match self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))? {
            0 => Ok(None),
            index => {
                self.facts.get(&index, 0).map(Some).map_err(failed("read", names::UPLINK_FACTS))
            }
        }
    }

    /// Makes the tables say what the model says. What packets need is added before what they no
    /// longer need is removed.
    ///
    /// # Errors
    ///
    /// When a map cannot be read or written, or has no room; what was written stays, and the
    /// next call goes on from there.
    pub fn sync(&mut self, uplinks: &[Uplink], locals: &[LocalAddress]) -> Result<()> {
        self.add_addresses(locals)?;
        self.sync_on_link(uplinks)?;
        self.devices.add(uplinks)?;
        let largest_mtu = uplinks.iter().map(|uplink| uplink.device.mtu).max().unwrap_or(0);
        for uplink in uplinks {
            self.write_facts(&facts::of(uplink, locals, largest_mtu))?;
            for ifindex in uplink.device.devices() {
                self.write_slot(uplink, ifindex)?;
            }
        }
        self.retire_others(uplinks)?;
        self.devices.remove_others(uplinks)?;
        self.remove_addresses(locals)
    }

    fn add_addresses(&mut self, locals: &[LocalAddress]) -> Result<()> {
        for local in locals {
            let owner = local.owner.map_or(0, |id| u32::from(id.0));
            match local.address {
                IpAddr::V4(address) => {
                    add_address(
                        &mut self.addresses4,
                        names::ADDRESSES4,
                        address4(address.octets()),
                        owner,
                    )?;
                }
                IpAddr::V6(address) => {
                    add_address(
                        &mut self.addresses6,
                        names::ADDRESSES6,
                        address6(address.octets()),
                        owner,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn remove_addresses(&mut self, locals: &[LocalAddress]) -> Result<()> {
        let present: BTreeSet<IpAddr> = locals.iter().map(|local| local.address).collect();
        let wanted = |address: IpAddr| present.contains(&address);
        retain(&mut self.addresses4, names::ADDRESSES4, |key| {
            wanted(Ipv4Addr::from(octets4(*key)).into())
        })?;
        retain(&mut self.addresses6, names::ADDRESSES6, |key| {
            wanted(Ipv6Addr::from(octets6(*key)).into())
        })
    }

    fn sync_on_link(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let mut wanted4 = Vec::new();
        let mut wanted6 = Vec::new();
        for uplink in uplinks {
            for prefix in &uplink.device.on_link {
                match prefix {
                    IpNet::V4(net) => {
                        let data = OnLink4 {
                            uplink: u32::from(uplink.id.0).to_be_bytes(),
                            address: address4(net.network().octets()),
                        };
                        wanted4.push(Key::new(32 + u32::from(net.prefix_len()), data));
                    }
                    IpNet::V6(net) => {
                        let data = OnLink6 {
                            uplink: u32::from(uplink.id.0).to_be_bytes(),
                            address: bytemuck::cast(net.network().octets()),
                        };
                        wanted6.push(Key::new(32 + u32::from(net.prefix_len()), data));
                    }
                }
            }
        }
        sync_trie(&mut self.on_link4, names::ON_LINK4, &wanted4)?;
        sync_trie(&mut self.on_link6, names::ON_LINK6, &wanted6)
    }

    /// Fills the entry that is not in use, then switches to it with one word.
    fn write_facts(&mut self, new: &UplinkFacts) -> Result<()> {
        let id = u32::from(new.id);
        let current = self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))?;
        if current != 0 && self.active_facts(id)?.as_ref() == Some(new) {
            return Ok(());
        }
        let next = if current == 2 * id { 2 * id + 1 } else { 2 * id };
        self.facts.set(next, new, 0).map_err(failed("write", names::UPLINK_FACTS))?;
        self.active.set(id, next, 0).map_err(failed("write", names::ACTIVE_FACTS))
    }

    /// Points the slot of one of the uplink's devices at the active facts.
    fn write_slot(&mut self, uplink: &Uplink, ifindex: Ifindex) -> Result<()> {
        let (id, ifindex) = (u32::from(uplink.id.0), ifindex.0);
        let facts = self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))?;
        let wanted = IfindexSlot { ifindex, facts };
        let mut free = None;
        for probe in 0..=IFINDEX_PROBES {
            let position = IfindexSlot::position(ifindex, probe);
            let slot =
                self.slots.get(&position, 0).map_err(failed("read", names::IFINDEX_SLOTS))?;
            if slot == wanted {
                return Ok(());
            }
            if slot.ifindex == ifindex {
                free = Some(position);
                break;
            }
            if slot.ifindex == 0 && free.is_none() {
                free = Some(position);
            }
        }
        let position = free
            .ok_or_else(|| DatapathError::NoSlot { name: uplink.device.name.clone(), ifindex })?;
        self.slots.set(position, wanted, 0).map_err(failed("write", names::IFINDEX_SLOTS))
    }

    /// Takes interfaces out that are no uplinks any more. Their ids stay known, so that flows
    /// bound to them are not taken for another uplink's.
    fn retire_others(&mut self, uplinks: &[Uplink]) -> Result<()> {
        for position in 0..self.slots.len() {
            let slot =
                self.slots.get(&position, 0).map_err(failed("read", names::IFINDEX_SLOTS))?;
            let managed = |uplink: &Uplink| uplink.device.is_device(Ifindex(slot.ifindex));
            if slot.ifindex != 0 && !uplinks.iter().any(managed) {
                self.slots
                    .set(position, IfindexSlot::default(), 0)
                    .map_err(failed("write", names::IFINDEX_SLOTS))?;
            }
        }
        for id in 1..MAX_UPLINKS {
            let Some(old) = self.active_facts(id)? else { continue };
            if old.flags & flag::UP != 0
                && !uplinks.iter().any(|uplink| u32::from(uplink.id.0) == id)
            {
                let (addresses4, addresses6) = Default::default();
                let (count4, count6) = (0, 0);
                self.write_facts(&UplinkFacts {
                    flags: 0,
                    count4,
                    count6,
                    addresses4,
                    addresses6,
                    ..old
                })?;
            }
        }
        Ok(())
    }
}

fn add_address<K: aya::Pod>(
    map: &mut HashMap<MapData, K, AddressEntry>,
    name: &'static str,
    address: K,
    owner: u32,
) -> Result<()> {
    match map.get(&address, 0) {
        // The entry carries the exposure stamp.
        Ok(entry) if entry.owner == owner => return Ok(()),
        Ok(_) | Err(MapError::KeyNotFound) => {}
        Err(source) => return Err(failed("read", name)(source)),
    }
    map.insert(address, AddressEntry { owner, exposed_at: 0 }, 0).map_err(failed("write", name))
}

fn retain<K: aya::Pod>(
    map: &mut HashMap<MapData, K, AddressEntry>,
    name: &'static str,
    wanted: impl Fn(&K) -> bool,
) -> Result<()> {
    let keys: Vec<K> =
        map.keys().collect::<std::result::Result<_, _>>().map_err(failed("read", name))?;
    for key in keys.iter().filter(|key| !wanted(key)) {
        map.remove(key).map_err(failed("delete from", name))?;
    }
    Ok(())
}

fn sync_trie<K: aya::Pod + PartialEq>(
    trie: &mut LpmTrie<MapData, K, u32>,
    name: &'static str,
    wanted: &[Key<K>],
) -> Result<()> {
    let same = |a: &Key<K>, b: &Key<K>| a.prefix_len() == b.prefix_len() && a.data() == b.data();
    let present: Vec<Key<K>> =
        trie.keys().collect::<std::result::Result<_, _>>().map_err(failed("read", name))?;
    for key in wanted {
        if !present.iter().any(|found| same(found, key)) {
            trie.insert(key, 1, 0).map_err(failed("write", name))?;
        }
    }
    for key in present {
        if !wanted.iter().any(|found| same(found, &key)) {
            trie.remove(&key).map_err(failed("delete from", name))?;
        }
    }
    Ok(())
}
