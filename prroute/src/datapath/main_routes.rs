//! The tables of prefixes that `main` routes over each uplink: a packet to one of them that leaves by that
//! uplink stays there, even if its source is an address of another uplink. What does not fit has been left out before ([`crate::state::share`]).
//!
//! They may hold thousands of entries, so they are read once; only this process writes them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, Map, MapData};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prroute_common::address::{address4, octets4};
use prroute_common::names;
use prroute_common::uplink::{MAX_MAIN_ROUTES, OnLink4, OnLink6};

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use crate::state::observed::Family;
use crate::state::uplink::Uplink;

/// Bits of an uplink's id before those of an address.
const ID_BITS: u32 = 32;

/// Uplink id and prefix.
type Entry = (u32, IpNet);

pub(super) struct MainRoutes {
    v4: Table<OnLink4>,
    v6: Table<OnLink6>,
}

impl MainRoutes {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            v4: Table::open(pins, names::MAIN_ROUTES4)?,
            v6: Table::open(pins, names::MAIN_ROUTES6)?,
        })
    }

    /// Adds what is missing, before the facts say that it is there.
    pub(super) fn add(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let v4 = self.v4.add(&wanted(uplinks, Family::V4));
        v4.and(self.v6.add(&wanted(uplinks, Family::V6)))
    }

    /// Removes what is not there any more, of one family.
    pub(super) fn remove_others(&mut self, uplinks: &[Uplink], family: Family) -> Result<()> {
        let wanted = wanted(uplinks, family);
        match family {
            Family::V4 => self.v4.remove_others(&wanted),
            Family::V6 => self.v6.remove_others(&wanted),
        }
    }
}

fn wanted(uplinks: &[Uplink], family: Family) -> BTreeSet<Entry> {
    let of = |uplink: &Uplink| {
        let id = u32::from(uplink.id.0);
        let nets = uplink.device.main_routes.iter().filter(|net| Family::of_net(net) == family);
        nets.map(|net| (id, *net)).collect::<Vec<_>>()
    };
    uplinks.iter().flat_map(of).collect()
}

struct Table<K> {
    trie: LpmTrie<MapData, K, u32>,
    name: &'static str,
    /// `None`: not read yet, or in doubt.
    present: Option<BTreeSet<Entry>>,
}

impl<K: TrieKey> Table<K> {
    fn open(pins: &Pins, name: &'static str) -> Result<Self> {
        Ok(Self { trie: open(pins, name, Map::LpmTrie)?, name, present: None })
    }

    fn add(&mut self, wanted: &BTreeSet<Entry>) -> Result<()> {
        let present = self.take_present()?;
        let new: Vec<Entry> = wanted.difference(&present).copied().collect();
        let room = (MAX_MAIN_ROUTES as usize).saturating_sub(new.len());
        let in_the_way = present.len().saturating_sub(room);
        let old: Vec<Entry> = present.difference(wanted).copied().take(in_the_way).collect();
        self.change(present, &old, &new)
    }

    fn remove_others(&mut self, wanted: &BTreeSet<Entry>) -> Result<()> {
        let present = self.take_present()?;
        let old: Vec<Entry> = present.difference(wanted).copied().collect();
        self.change(present, &old, &[])
    }

    /// After a failure the table is read again.
    fn change(&mut self, mut present: BTreeSet<Entry>, old: &[Entry], new: &[Entry]) -> Result<()> {
        for entry in old {
            let Some(key) = K::of(entry) else { continue };
            self.trie.remove(&key).map_err(failed("delete from", self.name))?;
            present.remove(entry);
        }
        for entry in new {
            let Some(key) = K::of(entry) else { continue };
            self.trie.insert(&key, 1, 0).map_err(failed("write", self.name))?;
            present.insert(*entry);
        }
        self.present = Some(present);
        Ok(())
    }

    fn take_present(&mut self) -> Result<BTreeSet<Entry>> {
        if let Some(present) = self.present.take() {
            return Ok(present);
        }
        let keys: Vec<Key<K>> = self
            .trie
            .keys()
            .collect::<std::result::Result<_, _>>()
            .map_err(failed("read", self.name))?;
        Ok(keys.iter().filter_map(K::entry).collect())
    }
}

trait TrieKey: aya::Pod {
    /// `None` for a prefix of the other family.
    fn of(entry: &Entry) -> Option<Key<Self>>;

    fn entry(key: &Key<Self>) -> Option<Entry>;
}

impl TrieKey for OnLink4 {
    fn of(entry: &Entry) -> Option<Key<Self>> {
        let (id, IpNet::V4(net)) = entry else { return None };
        let address = address4(net.network().octets());
        let data = Self { uplink: id.to_be_bytes(), address };
        Some(Key::new(ID_BITS + u32::from(net.prefix_len()), data))
    }

    fn entry(key: &Key<Self>) -> Option<Entry> {
        let Self { uplink, address } = key.data();
        let length = u8::try_from(key.prefix_len().checked_sub(ID_BITS)?).ok()?;
        let net = Ipv4Net::new(Ipv4Addr::from(octets4(address)), length).ok()?;
        Some((u32::from_be_bytes(uplink), net.into()))
    }
}

impl TrieKey for OnLink6 {
    fn of(entry: &Entry) -> Option<Key<Self>> {
        let (id, IpNet::V6(net)) = entry else { return None };
        let address = bytemuck::cast(net.network().octets());
        let data = Self { uplink: id.to_be_bytes(), address };
        Some(Key::new(ID_BITS + u32::from(net.prefix_len()), data))
    }

    fn entry(key: &Key<Self>) -> Option<Entry> {
        let Self { uplink, address } = key.data();
        let octets: [u8; 16] = bytemuck::cast(address);
        let length = u8::try_from(key.prefix_len().checked_sub(ID_BITS)?).ok()?;
        let net = Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?;
        Some((u32::from_be_bytes(uplink), net.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_prefix_of_which_uplink_it_is() {
        let v4: Entry = (2, "192.0.2.128/25".parse().unwrap());
        let v6: Entry = (300, "2001:db8:7::/48".parse().unwrap());
        assert_eq!(OnLink4::entry(&OnLink4::of(&v4).unwrap()), Some(v4));
        assert_eq!(OnLink6::entry(&OnLink6::of(&v6).unwrap()), Some(v6));
        assert!(OnLink4::of(&v6).is_none() && OnLink6::of(&v4).is_none());
    }
}
