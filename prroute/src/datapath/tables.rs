//! The maps that the loader writes: the facts of each uplink, and the [addresses](Addresses).

use std::net::IpAddr;

use aya::maps::{Array, Map, MapData};
use ipnet::IpNet;
use prroute_common::names;
use prroute_common::uplink::{IFINDEX_PROBES, IfindexSlot, MAX_UPLINKS, UplinkFacts, flag};

use crate::datapath::addresses::Addresses;
use crate::datapath::devices::Devices;
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::facts;
use crate::datapath::identities::Identities;
use crate::datapath::main_routes::MainRoutes;
use crate::datapath::maps::{failed, open};
use crate::datapath::own_source;
use crate::datapath::pins::Pins;
use crate::datapath::succession::{gateways, succeed};
use crate::datapath::targets::Target;
use crate::state::ids::KnownId;
use crate::state::observed::Family;
use crate::state::own_source::OwnSources;
use crate::state::succession::InForce;
use crate::state::uplink::{Ifindex, LocalAddress, Uplink, UplinkId};

/// Handles of the pinned tables.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Tables {
    addresses: Addresses,
    main_routes: MainRoutes,
    slots: Array<MapData, IfindexSlot>,
    active: Array<MapData, u32>,
    facts: Array<MapData, UplinkFacts>,
    devices: Devices,
    identities: Identities,
}

impl Tables {
    /// Opens the tables of an instance whose programs have been loaded once.
    ///
    /// # Errors
    ///
    /// When a map is not pinned or cannot be opened.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            addresses: Addresses::open(pins)?,
            main_routes: MainRoutes::open(pins)?,
            slots: open(pins, names::IFINDEX_SLOTS, Map::Array)?,
            active: open(pins, names::ACTIVE_FACTS, Map::Array)?,
            facts: open(pins, names::UPLINK_FACTS, Map::Array)?,
            devices: Devices::open(pins)?,
            identities: Identities::open(pins)?,
        })
    }

    /// The ids that flows may be bound to, with the devices they stand for.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn known_ids(&self) -> Result<Vec<KnownId>> {
        self.identities.known()
    }

    /// The uplinks that flows may be bound to.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        for id in 1..MAX_UPLINKS {
            let Some(facts) = self.active_facts(id)? else { continue };
            targets.push(Target { facts, is_there: self.devices.has(facts.ifindex)? });
        }
        Ok(targets)
    }

    /// The gateways that replies are sent to.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn in_force(&self) -> Result<Vec<InForce>> {
        let mut in_force = Vec::new();
        for id in 1..MAX_UPLINKS {
            let Some(facts) = self.active_facts(id)? else { continue };
            let (id, generation) = (UplinkId(facts.id), facts.generation);
            let gateways = gateways(&facts);
            in_force.extend(gateways.map(|(family, gateway)| InForce {
                id,
                generation,
                family,
                gateway,
            }));
        }
        Ok(in_force)
    }

    fn active_facts(&self, id: u32) -> Result<Option<UplinkFacts>> {
        match self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))? {
            0 => Ok(None),
            index => {
                self.facts.get(&index, 0).map(Some).map_err(failed("read", names::UPLINK_FACTS))
            }
        }
    }

    /// Makes the tables say what the model says: the facts of every uplink, then the rest.
    ///
    /// # Errors
    ///
    /// Tells what failed first, after everything was tried.
    pub fn sync(
        &mut self,
        uplinks: &[Uplink],
        locals: &[LocalAddress],
        prefixes: &[IpNet],
    ) -> Result<()> {
        let facts = self.sync_facts(uplinks, locals, prefixes, |_, _| false);
        let released = self.release_own_source(uplinks);
        facts.and(released).and(self.sync_rest(uplinks, locals, prefixes))
    }

    /// Writes what each uplink is, whatever fails for another one. A family whose own sources the
    /// datapath is to keep no more is kept until [`Tables::release_own_source`]. `is_resolved` says whether a
    /// gateway, perhaps one that is wanted no more, has a link-layer address.
    ///
    /// # Errors
    ///
    /// Tells what failed first, after everything was tried.
    pub fn sync_facts(
        &mut self,
        uplinks: &[Uplink],
        locals: &[LocalAddress],
        prefixes: &[IpNet],
        is_resolved: impl Fn(Ifindex, IpAddr) -> bool,
    ) -> Result<()> {
        let mut result = self.devices.add(uplinks).and(self.main_routes.add(uplinks));
        let largest_mtu = uplinks.iter().map(|uplink| uplink.device.mtu).max().unwrap_or(0);
        for uplink in uplinks {
            let device = &uplink.device;
            let mut found = facts::of(uplink, locals, prefixes, largest_mtu);
            let written = self.active_facts(u32::from(uplink.id.0)).and_then(|old| {
                found.flags |= own_source::held(old.as_ref(), &found, device.own_source);
                let resolved = |gateway| is_resolved(device.ifindex, gateway);
                self.write_facts(&succeed(old.as_ref(), found, device.reply, resolved))
            });
            let devices = device.devices().collect::<Vec<_>>();
            let slots = written.and_then(|()| {
                devices.into_iter().try_for_each(|ifindex| self.write_slot(uplink, ifindex))
            });
            result = result.and(slots);
        }
        result
    }

    /// Writes addresses and prefixes, and takes out what is no uplink any more.
    ///
    /// # Errors
    ///
    /// Tells what failed first, after everything was tried.
    pub fn sync_rest(
        &mut self,
        uplinks: &[Uplink],
        locals: &[LocalAddress],
        prefixes: &[IpNet],
    ) -> Result<()> {
        let addresses = self.addresses.sync(uplinks, locals, prefixes);
        let retired = self.retire_others(uplinks);
        let main_routes = self.remove_main_routes(uplinks);
        let devices = self.devices.remove_others(uplinks);
        addresses.and(retired).and(main_routes).and(devices)
    }

    /// Rules are in force for what the datapath is to keep no more.
    ///
    /// # Errors
    ///
    /// Tells what failed first, after everything was tried.
    pub fn release_own_source(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let mut result = Ok(());
        for uplink in uplinks {
            let written = self.active_facts(u32::from(uplink.id.0)).and_then(|facts| {
                let Some(facts) = facts else { return Ok(()) };
                let flags = facts.flags & !own_source::released(uplink.device.own_source);
                if flags == facts.flags {
                    return Ok(());
                }
                self.write_facts(&UplinkFacts { flags, ..facts })?;
                let mut devices = uplink.device.devices();
                devices.try_for_each(|ifindex| self.write_slot(uplink, ifindex))
            });
            result = result.and(written);
        }
        result
    }

    /// What keeps the host's own sources, as the programs have it.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn own_source(&self) -> Result<OwnSources> {
        let mut flags = 0;
        for id in 1..MAX_UPLINKS {
            flags |= self.active_facts(id)?.map_or(0, |facts| facts.flags);
        }
        Ok(own_source::of_flags(flags))
    }

    /// Not of a family that the programs keep although they are to keep it no more.
    fn remove_main_routes(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let in_force = self.own_source()?;
        let mut result = Ok(());
        for family in Family::BOTH {
            let is_wanted = |uplink: &Uplink| uplink.device.own_source.is_datapath(family);
            if uplinks.iter().any(is_wanted) || !in_force.is_datapath(family) {
                result = result.and(self.main_routes.remove_others(uplinks, family));
            }
        }
        result
    }

    /// Fills the entry that is not in use, then switches to it with one word.
    fn write_facts(&mut self, new: &UplinkFacts) -> Result<()> {
        let id = u32::from(new.id);
        let current = self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))?;
        let old = self.active_facts(id)?;
        // Whether somebody asks is none of the model's.
        let traced = old.map_or(0, |old| old.flags & flag::TRACED);
        let new = UplinkFacts { flags: new.flags | traced, ..*new };
        if old == Some(new) {
            return Ok(());
        }
        // No flow is bound to a generation that is not written down.
        self.identities.write(&new)?;
        let next = if current == 2 * id { 2 * id + 1 } else { 2 * id };
        self.facts.set(next, new, 0).map_err(failed("write", names::UPLINK_FACTS))?;
        self.active.set(id, next, 0).map_err(failed("write", names::ACTIVE_FACTS))
    }

    /// Points the slot of one of the uplink's devices at the active facts.
    fn write_slot(&mut self, uplink: &Uplink, ifindex: Ifindex) -> Result<()> {
        let (id, ifindex) = (u32::from(uplink.id.0), ifindex.0);
        let facts = self.active.get(&id, 0).map_err(failed("read", names::ACTIVE_FACTS))?;
        let mut free = None;
        for probe in 0..=IFINDEX_PROBES {
            let position = IfindexSlot::position(ifindex, probe);
            let slot = self.slot(position)?;
            if slot.is(ifindex, facts) {
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
        let home = IfindexSlot::position(ifindex, 0);
        if position != home {
            let slot = self.slot(home)?;
            let facts = slot.facts | IfindexSlot::DISPLACED;
            self.set_slot(home, IfindexSlot { facts, ..slot })?;
        }
        let slot = self.slot(position)?;
        self.set_slot(position, slot.with(ifindex, facts))
    }

    fn slot(&self, position: u32) -> Result<IfindexSlot> {
        self.slots.get(&position, 0).map_err(failed("read", names::IFINDEX_SLOTS))
    }

    fn set_slot(&mut self, position: u32, slot: IfindexSlot) -> Result<()> {
        self.slots.set(position, slot, 0).map_err(failed("write", names::IFINDEX_SLOTS))
    }

    /// Takes interfaces out that are no uplinks any more. Their ids stay known, so that flows
    /// bound to them are not taken for another uplink's.
    fn retire_others(&mut self, uplinks: &[Uplink]) -> Result<()> {
        for position in 0..self.slots.len() {
            let slot = self.slot(position)?;
            let managed = |uplink: &Uplink| uplink.device.is_device(Ifindex(slot.ifindex));
            if slot.ifindex != 0 && !uplinks.iter().any(managed) {
                self.set_slot(position, slot.with(0, 0))?;
            }
        }
        for id in 1..MAX_UPLINKS {
            let Some(old) = self.active_facts(id)? else { continue };
            if !uplinks.iter().any(|uplink| u32::from(uplink.id.0) == id) {
                self.write_facts(&facts::retired(old))?;
            }
        }
        Ok(())
    }
}
