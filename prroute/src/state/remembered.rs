//! Whose an id is over reboots: a device's, told by its hardware address or its name.

use super::discover::has_mac_of_its_own;
use super::observed::Link;
use super::uplink::{Discovered, Uplink, UplinkId};

/// An id that belongs to a device, whether that is there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedId {
    pub id: UplinkId,
    pub name: String,
    /// Where it tells the device from others.
    pub mac: Option<[u8; 6]>,
    /// When it was an uplink last, in seconds since 1970.
    pub last_used: u64,
}

/// The address that a device has over reboots, whatever its name: the permanent one where there is
/// one. Devices on top of others have theirs, and are told by name.
pub fn hardware_address(link: &Link) -> Option<[u8; 6]> {
    let borrows = matches!(link.kind.as_deref(), Some("bond" | "team" | "bridge" | "dsa"));
    if borrows || !has_mac_of_its_own(link) {
        return None;
    }
    link.permanent_mac.or(link.mac)
}

/// What is remembered, and the links that are there.
#[derive(Clone, Copy, Debug)]
pub struct Recall<'a> {
    pub remembered: &'a [RememberedId],
    pub links: &'a [Link],
}

impl Recall<'_> {
    pub const NOTHING: Recall<'static> = Recall { remembered: &[], links: &[] };

    fn hardware_address(&self, device: &Discovered) -> Option<[u8; 6]> {
        let link = self.links.iter().find(|link| link.ifindex == device.ifindex);
        link.and_then(hardware_address)
    }

    /// Name and address are the entry's.
    pub(super) fn is_same(&self, entry: &RememberedId, device: &Discovered) -> bool {
        entry.name == device.name && entry.mac == self.hardware_address(device)
    }

    /// It has the entry's hardware address, which is unique, and another name.
    pub(super) fn is_renamed(&self, entry: &RememberedId, device: &Discovered) -> bool {
        let Some(mac) = self.hardware_address(device) else { return false };
        let entries = self.remembered.iter().filter(|other| other.mac == Some(mac)).count();
        let links = self.links.iter().filter(|link| hardware_address(link) == Some(mac)).count();
        entry.mac == Some(mac) && entries == 1 && links == 1
    }

    /// It has the entry's name, and the device that had it is not there under another one.
    pub(super) fn is_successor(&self, entry: &RememberedId, device: &Discovered) -> bool {
        let is_elsewhere =
            |link: &Link| link.ifindex != device.ifindex && hardware_address(link) == entry.mac;
        entry.name == device.name && !(entry.mac.is_some() && self.links.iter().any(is_elsewhere))
    }

    /// What to remember from now on.
    pub fn updated(&self, uplinks: &[Uplink], now: u64) -> Vec<RememberedId> {
        let present = uplinks.iter().map(|uplink| RememberedId {
            id: uplink.id,
            name: uplink.device.name.clone(),
            mac: self.hardware_address(&uplink.device),
            last_used: now,
        });
        let present: Vec<RememberedId> = present.collect();
        let absent = self.remembered.iter().filter_map(|entry| {
            let is_known_by = |other: &RememberedId| {
                other.id == entry.id
                    || (other.name == entry.name
                        && (other.mac == entry.mac || entry.mac.is_none() || other.mac.is_none()))
            };
            (!present.iter().any(is_known_by)).then(|| self.with_its_name(entry))
        });
        let mut all: Vec<RememberedId> = absent.chain(present.iter().cloned()).collect();
        all.sort_by_key(|entry| entry.id);
        all
    }

    /// A device that is there and no uplink may have got another name.
    fn with_its_name(&self, entry: &RememberedId) -> RememberedId {
        let has_its_address =
            |link: &&Link| entry.mac.is_some() && hardware_address(link) == entry.mac;
        let mut links = self.links.iter().filter(has_its_address);
        match (links.next(), links.next()) {
            (Some(link), None) => RememberedId { name: link.name.clone(), ..entry.clone() },
            _ => entry.clone(),
        }
    }
}

/// Whether what is remembered is worth writing down: who has which id changed, somebody left, or a
/// day is over.
pub fn differs(written: &[RememberedId], now: &[RememberedId]) -> bool {
    const DAY: u64 = 24 * 60 * 60;
    let same = |(a, b): (&RememberedId, &RememberedId)| {
        (a.id, &a.name, a.mac) == (b.id, &b.name, b.mac) && b.last_used < a.last_used + DAY
    };
    written.len() != now.len() || !written.iter().zip(now).all(same)
}

#[cfg(test)]
mod tests;
