//! The instance's programs on sockets, as the kernel knows them.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::loaded_links;
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

/// Waits until the kernel knows none of these links any more.
pub(crate) fn wait_gone(ids: &[u32]) -> Result<()> {
    wait::until("the links are gone", Duration::from_secs(5), || {
        for link in loaded_links() {
            if ids.contains(&link.context("list the kernel's links")?.id()) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}
