//! A table of prefixes: a longest-prefix trie, kept as it is wanted.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, Map, MapData};
use ipnet::IpNet;
use prroute_common::address::{Address4, PrefixAddress6, address4};
use prroute_common::uplink::{OnLink4, OnLink6};

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use crate::state::uplink::UplinkId;

/// A prefix length, and the bytes behind it.
type Bytes = (u32, Vec<u8>);

pub(super) struct Prefixes<K> {
    trie: LpmTrie<MapData, K, u32>,
    name: &'static str,
    capacity: u32,
    /// `None`: not read yet, or in doubt.
    present: Option<BTreeMap<Bytes, Key<K>>>,
}

impl<K: aya::Pod + bytemuck::Pod> Prefixes<K> {
    pub(super) fn open(pins: &Pins, name: &'static str, capacity: u32) -> Result<Self> {
        Ok(Self { trie: open(pins, name, Map::LpmTrie)?, name, capacity, present: None })
    }

    /// Reads the table, adds what is missing, then removes what is not wanted.
    pub(super) fn sync(&mut self, wanted: &[Key<K>]) -> Result<()> {
        self.present = None;
        self.add(wanted)?;
        self.remove_others(wanted)
    }

    /// Adds what is missing. What is not wanted goes before that only where there is no room for
    /// both.
    pub(super) fn add(&mut self, wanted: &[Key<K>]) -> Result<()> {
        let wanted = by_bytes(wanted.iter().copied());
        let present = self.take_present()?;
        let missing = without(&wanted, &present);
        let excess = (present.len() + missing.len()).saturating_sub(self.capacity as usize);
        let in_the_way = without(&present, &wanted).into_iter().take(excess).collect();
        self.change(present, in_the_way, missing)
    }

    pub(super) fn remove_others(&mut self, wanted: &[Key<K>]) -> Result<()> {
        let wanted = by_bytes(wanted.iter().copied());
        let present = self.take_present()?;
        let others = without(&present, &wanted);
        self.change(present, others, BTreeMap::new())
    }

    /// After a failure the table is read again.
    fn change(
        &mut self,
        mut present: BTreeMap<Bytes, Key<K>>,
        removed: BTreeMap<Bytes, Key<K>>,
        added: BTreeMap<Bytes, Key<K>>,
    ) -> Result<()> {
        for (bytes, key) in removed {
            self.trie.remove(&key).map_err(failed("delete from", self.name))?;
            present.remove(&bytes);
        }
        for (bytes, key) in added {
            self.trie.insert(&key, 1, 0).map_err(failed("write", self.name))?;
            present.insert(bytes, key);
        }
        self.present = Some(present);
        Ok(())
    }

    fn take_present(&mut self) -> Result<BTreeMap<Bytes, Key<K>>> {
        if let Some(present) = self.present.take() {
            return Ok(present);
        }
        let keys: std::result::Result<Vec<Key<K>>, _> = self.trie.keys().collect();
        Ok(by_bytes(keys.map_err(failed("read", self.name))?.into_iter()))
    }
}

fn by_bytes<K: aya::Pod + bytemuck::Pod>(
    keys: impl Iterator<Item = Key<K>>,
) -> BTreeMap<Bytes, Key<K>> {
    keys.map(|key| ((key.prefix_len(), bytemuck::bytes_of(&key.data()).to_vec()), key)).collect()
}

fn without<K: aya::Pod>(
    all: &BTreeMap<Bytes, Key<K>>,
    these: &BTreeMap<Bytes, Key<K>>,
) -> BTreeMap<Bytes, Key<K>> {
    let rest = all.iter().filter(|(bytes, _)| !these.contains_key(*bytes));
    rest.map(|(bytes, key)| (bytes.clone(), *key)).collect()
}

/// Keys of both families.
pub(super) type Keys<K4, K6> = (Vec<Key<K4>>, Vec<Key<K6>>);

pub(super) fn keys(prefixes: &[IpNet]) -> Keys<Address4, PrefixAddress6> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for prefix in prefixes {
        let length = u32::from(prefix.prefix_len());
        match prefix {
            IpNet::V4(net) => v4.push(Key::new(length, address4(net.network().octets()))),
            IpNet::V6(net) => v6.push(Key::new(length, bytemuck::cast(net.network().octets()))),
        }
    }
    (v4, v6)
}

/// Keys of prefixes of uplinks: the id counts as the first 32 bits.
pub(super) fn keys_of_uplinks<'a>(
    prefixes: impl Iterator<Item = (UplinkId, &'a IpNet)>,
) -> Keys<OnLink4, OnLink6> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (id, prefix) in prefixes {
        let uplink = u32::from(id.0).to_be_bytes();
        let length = u32::BITS + u32::from(prefix.prefix_len());
        match prefix {
            IpNet::V4(net) => {
                let address = address4(net.network().octets());
                v4.push(Key::new(length, OnLink4 { uplink, address }));
            }
            IpNet::V6(net) => {
                let address = bytemuck::cast(net.network().octets());
                v6.push(Key::new(length, OnLink6 { uplink, address }));
            }
        }
    }
    (v4, v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_prefix_of_which_uplink_it_is() {
        let v4: IpNet = "192.0.2.128/25".parse().unwrap();
        let v6: IpNet = "2001:db8:7::/48".parse().unwrap();
        let (keys4, keys6) =
            keys_of_uplinks([(UplinkId(2), &v4), (UplinkId(300), &v6)].into_iter());
        let bytes4: Vec<_> = by_bytes(keys4.into_iter()).into_keys().collect();
        assert_eq!(bytes4, [(32 + 25, vec![0, 0, 0, 2, 192, 0, 2, 128])]);
        let bytes6: Vec<_> = by_bytes(keys6.into_iter()).into_keys().collect();
        let id_and_address = [&[0, 0, 1, 44, 0x20, 1, 0xd, 0xb8, 0, 7][..], &[0; 10]].concat();
        assert_eq!(bytes6, [(32 + 48, id_and_address)]);
    }
}
