//! The network namespace that an instance's pins belong to: a directory `netns:INODE-COOKIE` among
//! them. Containers that share bpffs see each other's pins.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::datapath::directory::{self, NAMESPACE, file_error};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::links;
use crate::datapath::pins::Pins;
use crate::namespace::NetworkNamespace;

impl Pins {
    /// The network namespace that these pins belong to. `None`: nothing is pinned, or by a version
    /// that did not say.
    ///
    /// # Errors
    ///
    /// When only root can tell, or the pins are somebody else's.
    pub fn owner(&self) -> Result<Option<NetworkNamespace>> {
        directory::check(&directory::of_prroute())?;
        directory::check(self.instance())?;
        let of_name = |path: &PathBuf| {
            path.file_name()?.to_str()?.strip_prefix(NAMESPACE)?.parse::<NetworkNamespace>().ok()
        };
        let entries = self.entries(self.instance())?;
        let owners: Vec<_> = entries.iter().filter_map(of_name).collect();
        // Two only while another prroute is being refused, which takes its own back.
        let here = NetworkNamespace::current()?;
        let other = owners.iter().find(|owner| **owner != here);
        Ok(other.or(owners.first()).copied())
    }

    /// Makes the directory for pins of this layout, and the instance this namespace's.
    pub fn create(&self) -> Result<()> {
        directory::create(self.instance())?;
        self.claim()?;
        directory::create(&self.layout())
    }

    /// Makes the instance this namespace's. Of two that try at once at most one succeeds.
    fn claim(&self) -> Result<()> {
        let here = NetworkNamespace::current()?;
        let mark = self.instance().join(format!("{NAMESPACE}{here}"));
        directory::create(&mark)?;
        // Whoever comes second sees the first.
        let others = self.entries(self.instance())?.into_iter();
        match others.filter(|path| directory::is_of_namespace(path)).find(|path| *path != mark) {
            None => Ok(()),
            Some(other) => {
                fs::remove_dir(&mark).map_err(|error| file_error("remove", &mark, error))?;
                Err(DatapathError::Claimed { path: other })
            }
        }
    }

    /// Whether the devices that these pins were attached to are gone, all of them: so is their
    /// network namespace, or it has nothing of this instance any more. tcx links tell; clsact
    /// filters leave no trace here.
    ///
    /// # Errors
    ///
    /// When a link cannot be read.
    pub fn are_abandoned(&self) -> Result<bool> {
        let links = self.links()?.into_iter().map(|(_, _, path)| path);
        let stacked = self.stacked_links()?.into_iter().map(|(_, path)| path);
        let mut any = false;
        for path in links.chain(stacked) {
            match links::device(&path) {
                Ok(None) => any = true,
                Ok(Some(_)) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(file_error("read the link", &path, error)),
            }
        }
        Ok(any)
    }
}
