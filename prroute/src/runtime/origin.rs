//! Which boot a file below `/run` is of: a host may keep `/run` when the kernel starts anew.

use std::fs;

use serde::{Deserialize, Serialize};

/// Another value after each boot; random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the objects that a file names belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// `None` where the kernel does not tell it.
    pub boot_id: Option<String>,
}

impl Origin {
    /// Of this process.
    pub fn current() -> Self {
        let boot_id = fs::read_to_string(BOOT_ID).ok();
        Self { boot_id: boot_id.map(|text| text.trim().to_owned()) }
    }
}
