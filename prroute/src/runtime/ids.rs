//! `/var/lib/prroute/NAME/ids.json`: the ids of uplinks over reboots. No state of the kernel: `prroute
//! down` leaves it.

use std::collections::BTreeSet;

use prroute_common::uplink::MAX_UPLINKS;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::config::mac_address;
use crate::runtime::format::{self, Unusable, Versioned};
use crate::state::remembered::RememberedId;
use crate::state::uplink::UplinkId;

/// Bytes of an interface's name (`IFNAMSIZ` less the terminator).
const MAX_NAME: usize = 15;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdFile {
    schema: String,
    uplinks: Vec<Entry>,
}

impl Versioned for IdFile {
    #[cfg(not(feature = "other-version"))]
    const SCHEMA: &'static str = "prroute.ids/1";
    #[cfg(feature = "other-version")]
    const SCHEMA: &'static str = "prroute.ids/1001";
    const EXACT: bool = true;
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: u16,
    name: String,
    mac: Option<String>,
    last_used: u64,
}

impl IdFile {
    pub(super) fn of(ids: &[RememberedId]) -> Self {
        let entry = |remembered: &RememberedId| Entry {
            id: remembered.id.0,
            name: remembered.name.clone(),
            mac: remembered.mac.map(|bytes| bytes.map(|byte| format!("{byte:02x}")).join(":")),
            last_used: remembered.last_used,
        };
        Self { schema: Self::SCHEMA.to_owned(), uplinks: ids.iter().map(entry).collect() }
    }

    /// # Errors
    ///
    /// When the text is not what this version writes.
    pub(super) fn parse(text: &[u8]) -> Result<Vec<RememberedId>, Unusable> {
        let file: Self = format::parse(text)?.value;
        let invalid = |what: String| Unusable::Damaged(serde_json::Error::custom(what));
        let mut seen = BTreeSet::new();
        let mut ids = Vec::new();
        for Entry { id, name, mac, last_used } in file.uplinks {
            if id == 0 || u32::from(id) >= MAX_UPLINKS || !seen.insert(id) {
                return Err(invalid(format!("{id} is no id, or is there twice")));
            }
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(invalid("a name is no interface's".to_owned()));
            }
            let mac = mac.map(|text| mac_address(&text).ok_or("a MAC address is none"));
            let mac = mac.transpose().map_err(|what| invalid(what.to_owned()))?;
            ids.push(RememberedId { id: UplinkId(id), name, mac, last_used });
        }
        ids.sort_by_key(|entry| entry.id);
        Ok(ids)
    }
}
