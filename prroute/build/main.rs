//! What is known when prroute is built:
//!
//! * the BPF object that is embedded: built with the toolchain in `PRROUTE_BPF_TOOLCHAIN`, by default the
//!   linked toolchain that `cargo xtask setup` makes, or a nightly that has rust-src;
//!   `PRROUTE_BPF_OBJECT=FILE` embeds one that was built elsewhere, whose hash
//!   `PRROUTE_BPF_OBJECT_SHA256` must say;
//! * the commit: from git, or `PRROUTE_COMMIT`.

mod commit;
mod dwarf;
mod object;

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no manifest dir")?);
    let root = manifest.parent().context("the manifest directory has no parent")?;
    commit::tell(root);
    object::tell(root)
}
