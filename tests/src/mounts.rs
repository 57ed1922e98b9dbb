//! Programs that see directories of ours where they look for the system's.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Mounts what it is given in pairs, up to `--`, and becomes the program behind it.
const MOUNT_AND_RUN: &str = "while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$2\" || exit 125; shift 2; done; shift; \
     exec \"$@\"";

/// The words that, put before a program's, give it `directories` at their places, in a mount
/// namespace of its own that goes with it. It may not change the host's name either.
pub fn wrapper(directories: &[(&Path, &str)]) -> Result<Vec<String>> {
    let mut words: Vec<String> =
        ["unshare", "--mount", "--uts", "--", "sh", "-c", MOUNT_AND_RUN, "sh"]
            .map(str::to_owned)
            .into();
    for (directory, place) in directories {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("create {}", directory.display()))?;
        words.extend([directory.display().to_string(), (*place).to_owned()]);
    }
    words.push("--".to_owned());
    Ok(words)
}
