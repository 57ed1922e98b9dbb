//! What another version has pinned. Its programs go on until those of this version are attached
//! everywhere; what they remember is pinned in this layout as well, so that old and new programs use
//! the same maps ([why](../../../docs/adr/0024-one-memory-for-two-layouts.md)).
//!
//! ```text
//!   /sys/fs/bpf/prroute/NAME/v7/memory:1           in force: its programs are attached everywhere
//!                              /FLOWS4, ..         remembered: pinned in v8 too
//!                              /UPLINK_FACTS, ..   written by the daemon: made anew in v8
//!                              /link-1-egress      pinned in v8 too, where its program is replaced
//! ```

use std::path::{Path, PathBuf};

use aya_obj::Object;
use prroute_common::{MEMORY_VERSION, names};

use crate::datapath::bpf;
use crate::datapath::directory::{self, MEMORY, file_error, move_pin, remove_pin};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::identities::Identities;
use crate::datapath::layout;
use crate::datapath::object::OBJECT;
use crate::datapath::pins::{Pins, is_link};
use crate::state::ids::KnownId;

/// Pins of another layout, which this one takes the place of.
#[derive(Debug)]
pub struct Predecessor {
    directory: PathBuf,
    /// The version of what its programs remember; `None`: it does not say so, or never was in force.
    memory: Option<u32>,
}

/// What was taken over.
#[derive(Debug)]
pub struct Heritage {
    /// Where it was pinned.
    pub from: PathBuf,
    /// Which of the remembered maps begin empty.
    pub forgotten: Vec<&'static str>,
}

impl Heritage {
    /// Whether some of the flows are forgotten.
    pub fn forgets_flows(&self) -> bool {
        const FLOWS: [&str; 6] = [
            names::FLOWS4,
            names::FLOWS6,
            names::DATAGRAMS4,
            names::DATAGRAMS6,
            names::NEW4,
            names::NEW6,
        ];
        FLOWS.iter().any(|name| self.forgotten.contains(name))
    }
}

impl Pins {
    /// The pins of another version that are in force, or the best guess at them; `None`: this version's
    /// are, or nothing is.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read.
    pub fn predecessor(&self) -> Result<Option<Predecessor>> {
        if self.memory_of(&self.layout())?.is_some() {
            return Ok(None);
        }
        let mut others = Vec::new();
        for directory in self.other_layouts()? {
            let memory = self.memory_of(&directory)?;
            others.push(Predecessor { directory, memory });
        }
        // Without its mark a layout is what a start that failed has left, or older than marks are.
        if !others.iter().any(|other| other.memory.is_some()) && self.exists() {
            return Ok(None);
        }
        Ok(others.into_iter().max_by_key(|other| other.memory.is_some()))
    }

    /// The programs of this layout are attached everywhere: those of others are needed no more.
    ///
    /// # Errors
    ///
    /// When a pin cannot be made or removed.
    pub fn come_into_force(&self) -> Result<()> {
        directory::create(&self.layout().join(format!("{MEMORY}{MEMORY_VERSION}")))?;
        self.remove_other_layouts()
    }

    /// The version of what the programs of a layout remember, where that is in force.
    fn memory_of(&self, layout: &Path) -> Result<Option<u32>> {
        let version =
            |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(MEMORY)?.parse().ok();
        Ok(self.entries(layout)?.iter().find_map(version))
    }

    /// Pins in this layout what another one has that both can use. Whatever else is here is left of a start
    /// that failed, and goes. The other layout stays as it is.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; a second call goes on from there.
    pub fn take_over(&self, other: &Predecessor) -> Result<Heritage> {
        self.create()?;
        for name in names::pinned_maps() {
            remove_pin(&self.map(name))?;
        }
        // A link that is pinned here has its program replaced in one step.
        for path in self.entries(&other.directory)? {
            if let Some(name) = path.file_name().filter(|name| is_link(name)) {
                pin_again(&path, &self.layout().join(name))?;
            }
        }
        let mut forgotten = Vec::new();
        let object = Object::parse(OBJECT).map_err(aya::EbpfError::from)?;
        for name in names::REMEMBERED {
            let path = other.directory.join(name);
            let entries = object.maps.get(name).map(aya_obj::Map::max_entries);
            let same = other.memory == Some(MEMORY_VERSION) && layout::fits(name, &path, entries)?;
            if same {
                pin_again(&path, &self.map(name))?;
            } else {
                forgotten.push(name);
            }
        }
        Ok(Heritage { from: other.directory.clone(), forgotten })
    }
}

impl Predecessor {
    pub(super) fn into_directory(self) -> PathBuf {
        self.directory
    }

    /// The ids that its flows are bound to. Empty where those cannot be used.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn known_ids(&self) -> Result<Vec<KnownId>> {
        let path = self.directory.join(names::UPLINK_IDS);
        if self.memory != Some(MEMORY_VERSION) || !layout::fits(names::UPLINK_IDS, &path, None)? {
            return Ok(Vec::new());
        }
        Identities::at(&path)?.known()
    }
}

fn pin_again(pin: &Path, here: &Path) -> Result<()> {
    let fd = bpf::open_pin(pin).map_err(|error| file_error("open the pin", pin, error))?;
    let mut name = here.file_name().unwrap_or_default().to_owned();
    name.push("_new");
    let new = here.with_file_name(name);
    remove_pin(&new)?;
    bpf::pin(std::os::fd::AsFd::as_fd(&fd), &new).map_err(|source| DatapathError::Bpf {
        operation: "pin",
        object: here.display().to_string(),
        source,
    })?;
    move_pin(&new, here)
}
