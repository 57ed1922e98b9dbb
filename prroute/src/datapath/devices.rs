//! The devices of the uplinks, held by the kernel: the devices themselves, not their indexes.

use std::io;

use aya::maps::xdp::{DevMapHash, XdpMapError};
use aya::maps::{Map, MapData};
use prroute_common::names;

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, is, is_absent, open};
use crate::datapath::pins::Pins;
use crate::state::uplink::Uplink;

/// A device that is deleted, or leaves the network namespace, is taken out by the kernel.
pub(super) struct Devices(DevMapHash<MapData>);

impl Devices {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        open(pins, names::DEVICES, Map::DevMapHash).map(Self)
    }

    /// Puts in the device of each uplink. One that has just gone is no failure: the next look at
    /// the kernel finds no such uplink.
    pub(super) fn add(&mut self, uplinks: &[Uplink]) -> Result<()> {
        for ifindex in uplinks.iter().map(|uplink| uplink.device.ifindex.0) {
            if self.0.get(ifindex, 0).is_ok() {
                continue;
            }
            match self.0.insert(ifindex, ifindex, None, 0) {
                Err(XdpMapError::MapError(error)) if !is(&error, io::ErrorKind::InvalidInput) => {
                    return Err(failed("write", names::DEVICES)(error));
                }
                // The other error is about programs behind a device; there is none.
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the kernel has the device that had this index when it was put in.
    pub(super) fn has(&self, ifindex: u32) -> Result<bool> {
        match self.0.get(ifindex, 0) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(failed("read", names::DEVICES)(error)),
        }
    }

    /// Takes out what is no uplink any more.
    pub(super) fn remove_others(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let all: std::result::Result<Vec<u32>, _> = self.0.keys().collect();
        let all = all.map_err(failed("read", names::DEVICES))?;
        let managed = |ifindex: &u32| uplinks.iter().any(|u| u.device.ifindex.0 == *ifindex);
        for ifindex in all.into_iter().filter(|ifindex| !managed(ifindex)) {
            match self.0.remove(ifindex) {
                // The kernel may be quicker.
                Err(error) if !is_absent(&error) => {
                    return Err(failed("delete from", names::DEVICES)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
