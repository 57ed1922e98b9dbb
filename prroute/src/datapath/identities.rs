//! Which device each uplink's id was given to. Flows refer to id and generation, so this is remembered
//! with them, apart from the facts, which another version may lay out otherwise.

use std::path::Path;

use aya::maps::{Array, Map, MapData};
use prroute_common::names;
use prroute_common::uplink::{MAX_UPLINKS, UplinkFacts, UplinkIdentity, mac_octets};

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use crate::state::ids::KnownId;
use crate::state::uplink::{Ifindex, UplinkId};

pub(super) struct Identities(Array<MapData, UplinkIdentity>);

impl Identities {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        open(pins, names::UPLINK_IDS, Map::Array).map(Self)
    }

    /// Those that are pinned at a path.
    pub(super) fn at(path: &Path) -> Result<Self> {
        MapData::from_pin(path)
            .and_then(|data| Array::try_from(Map::Array(data)))
            .map(Self)
            .map_err(failed("open pinned map", names::UPLINK_IDS))
    }

    pub(super) fn known(&self) -> Result<Vec<KnownId>> {
        let mut known = Vec::new();
        for id in (1..MAX_UPLINKS).filter_map(|id| u16::try_from(id).ok()) {
            let is = self.0.get(&u32::from(id), 0).map_err(failed("read", names::UPLINK_IDS))?;
            if is.ifindex != 0 {
                known.push(KnownId {
                    id: UplinkId(id),
                    generation: is.generation,
                    ifindex: Ifindex(is.ifindex),
                    mac: (is.mac != 0).then(|| mac_octets(is.mac)),
                });
            }
        }
        Ok(known)
    }

    /// Of an uplink that has these facts.
    pub(super) fn write(&mut self, facts: &UplinkFacts) -> Result<()> {
        let UplinkFacts { ifindex, generation, mac, .. } = *facts;
        let identity = UplinkIdentity { ifindex, generation, pad: 0, mac };
        self.0.set(u32::from(facts.id), identity, 0).map_err(failed("write", names::UPLINK_IDS))
    }
}
