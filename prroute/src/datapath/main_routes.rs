//! The tables of prefixes that `main` routes over each uplink: a packet to one of them that leaves by that
//! uplink stays there, even if its source is an address of another uplink. What does not fit has been left out before ([`crate::state::share`]).
//!
//! They may hold thousands of entries, so they are read once; only this process writes them.

use prroute_common::names;
use prroute_common::uplink::{MAX_MAIN_ROUTES, OnLink4, OnLink6};

use crate::datapath::error::Result;
use crate::datapath::pins::Pins;
use crate::datapath::prefixes::{Keys, Prefixes, keys_of_uplinks};
use crate::state::observed::Family;
use crate::state::uplink::Uplink;

pub(super) struct MainRoutes {
    v4: Prefixes<OnLink4>,
    v6: Prefixes<OnLink6>,
}

impl MainRoutes {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            v4: Prefixes::open(pins, names::MAIN_ROUTES4, MAX_MAIN_ROUTES)?,
            v6: Prefixes::open(pins, names::MAIN_ROUTES6, MAX_MAIN_ROUTES)?,
        })
    }

    /// Adds what is missing, before the facts say that it is there.
    pub(super) fn add(&mut self, uplinks: &[Uplink]) -> Result<()> {
        let (v4, v6) = wanted(uplinks);
        self.v4.add(&v4).and(self.v6.add(&v6))
    }

    /// Removes what is not there any more, of one family.
    pub(super) fn remove_others(&mut self, uplinks: &[Uplink], family: Family) -> Result<()> {
        let (v4, v6) = wanted(uplinks);
        match family {
            Family::V4 => self.v4.remove_others(&v4),
            Family::V6 => self.v6.remove_others(&v6),
        }
    }
}

fn wanted(uplinks: &[Uplink]) -> Keys<OnLink4, OnLink6> {
    keys_of_uplinks(
        uplinks
            .iter()
            .flat_map(|uplink| uplink.device.main_routes.iter().map(move |net| (uplink.id, net))),
    )
}
