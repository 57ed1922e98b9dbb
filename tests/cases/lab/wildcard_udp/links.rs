//! The instance's programs on sockets, and what they know, as the kernel has it.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData};
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::loaded_links;
use prroute_common::address::Address4;
use prroute_common::udp_origin::{Peer, UdpOrigin};
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::{prroute, wait};

/// The ids of an instance's links to control groups, sorted.
pub(crate) fn pinned(instance: &str) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for layout in fs::read_dir(prroute::pins(instance)).context("list the layouts")? {
        let layout = layout.context("list the layouts")?.path();
        for pin in fs::read_dir(&layout).with_context(|| format!("list {}", layout.display()))? {
            let pin = pin.context("list pins")?.path();
            let name = pin.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("socket-") {
                let link = PinnedLink::from_pin(&pin)
                    .with_context(|| format!("open {}", pin.display()))?;
                ids.push(FdLink::from(link).info().context("ask about a link")?.id());
            }
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// How many IPv4 peers an instance knows what they asked.
pub(crate) fn noted4(instance: &str) -> Result<usize> {
    type Table =
        HashMap<MapData, [u8; size_of::<Peer<Address4>>()], [u8; size_of::<UdpOrigin<Address4>>()]>;
    let path = prroute::pins(instance).join(format!("v{LAYOUT_VERSION}")).join(names::UDP_ORIGIN4);
    let map = MapData::from_pin(&path).with_context(|| format!("open {}", path.display()))?;
    let table = Table::try_from(Map::LruHashMap(map)).context("open the table")?;
    table.keys().try_fold(0, |count, key| key.map(|_| count + 1)).context("list the table")
}

fn is_gone(error: &LinkError) -> bool {
    let LinkError::SyscallError(error) = error else { return false };
    error.io_error.kind() == ErrorKind::NotFound
}

/// Waits until the kernel knows none of these links any more.
pub(crate) fn wait_gone(ids: &[u32]) -> Result<()> {
    wait::until("the links are gone", Duration::from_secs(5), || {
        for link in loaded_links() {
            match link {
                Ok(link) if ids.contains(&link.id()) => return Ok(None),
                Ok(_) => {}
                // It went after its id was told: other tests have links, too.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error).context("list the kernel's links"),
            }
        }
        Ok(Some(()))
    })
}
