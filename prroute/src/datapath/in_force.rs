//! Which layout is in force, as commands see it: they read the tables of this version's alone, and only
//! where its programs use them.

use std::path::{Path, PathBuf};

use prroute_common::LAYOUT_VERSION;

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::pins::Pins;

/// Whose programs decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InForce {
    /// Nobody's: there are none, or maps of theirs have no pins any more.
    Nothing,
    This,
    /// Those of another version, which is pinned there.
    Other(PathBuf),
}

impl InForce {
    pub fn is_this(&self) -> bool {
        *self == Self::This
    }

    /// Where another version is pinned.
    pub fn other(&self) -> Option<&Path> {
        match self {
            Self::Other(layout) => Some(layout),
            Self::Nothing | Self::This => None,
        }
    }

    /// # Errors
    ///
    /// When it is another version's.
    pub fn expect_no_other(&self) -> Result<()> {
        match self {
            Self::Other(layout) => {
                Err(DatapathError::OtherInForce { path: layout.clone(), this: LAYOUT_VERSION })
            }
            Self::Nothing | Self::This => Ok(()),
        }
    }
}

impl Pins {
    /// `is_loaded`: a daemon of this version runs, and keeps its tables. Then another version's programs are
    /// left at most where its own could not be attached.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read.
    pub fn in_force(&self, is_loaded: bool) -> Result<InForce> {
        Ok(match self.predecessor()? {
            Some(other) if !is_loaded => InForce::Other(other.into_directory()),
            _ if self.exists() => InForce::This,
            _ => InForce::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use prroute_common::names;

    use super::*;

    /// Pins as directories: only names are looked at.
    struct Made {
        pins: Pins,
        directory: PathBuf,
    }

    impl Made {
        fn new(name: &str) -> Self {
            let name = format!("prroute-in-force-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            Self { pins: Pins::below(&directory), directory }
        }

        fn with(self, path: &str) -> Self {
            fs::create_dir_all(self.directory.join(path)).unwrap();
            self
        }

        fn with_maps(self) -> Self {
            let layout = format!("v{LAYOUT_VERSION}");
            names::pinned_maps().fold(self, |made, name| made.with(&format!("{layout}/{name}")))
        }

        fn in_force(&self) -> InForce {
            self.pins.in_force(false).unwrap()
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.directory));
        }
    }

    #[test]
    fn without_another_version_this_one_is_as_soon_as_its_maps_are_pinned() {
        let made = Made::new("alone");
        assert_eq!(made.in_force(), InForce::Nothing);
        let made = made.with_maps();
        assert_eq!(made.in_force(), InForce::This);
        made.in_force().expect_no_other().unwrap();
    }

    /// A start that failed has pinned all maps; the programs of the other version go on.
    #[test]
    fn maps_of_a_start_that_failed_are_not_in_force_and_the_other_versions_are() {
        let made = Made::new("failed").with_maps().with("v1/memory:1");
        let other = made.directory.join("v1");
        assert_eq!(made.in_force().other(), Some(other.as_path()));
        let said = made.in_force().expect_no_other().unwrap_err().to_string();
        assert!(said.contains("/v1: ") && said.contains("another version"), "{said}");
        assert_eq!(made.pins.in_force(true).unwrap(), InForce::This, "a daemon keeps them");
        let made = made.with(&format!("v{LAYOUT_VERSION}/memory:1"));
        assert_eq!(made.in_force(), InForce::This);
    }

    /// The package was upgraded, and no daemon of it has started.
    #[test]
    fn without_maps_of_its_own_the_other_version_is() {
        let made = Made::new("upgraded").with("v1/memory:1");
        assert!(made.in_force().other().is_some());
        assert!(!made.in_force().is_this());
    }
}
