//! `cargo xtask demo`: the main job in front of the reader.

use anyhow::Result;

use crate::build::{self, Wanted};
use crate::root;
use crate::setup::{self, Scope};

pub(crate) fn task(keep: bool) -> Result<bool> {
    root::require("demo", "it makes network namespaces and loads BPF programs into them")?;
    let prepared = setup::ensure(Scope::Demo)?;
    let binary = build::binary(&prepared, &Wanted::default())?;
    // SAFETY: no thread was started yet, so nothing reads the environment concurrently.
    unsafe { std::env::set_var("PRROUTE_BIN", binary) };
    prroute_tests::demo::run(keep)
}
