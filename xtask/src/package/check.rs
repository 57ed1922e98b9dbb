//! What the distributions' own checkers say, and cargo-deny: nothing, but for what is excused in `packaging`
//! and in deny.toml, each with its reason.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Job;
use crate::project::{self, quietly};

/// lintian; exceptions are in packaging/debian/prroute.lintian-overrides.
pub(crate) fn deb(package: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    // It complains of being run as root, which it may be here.
    lintian.args(["--allow-root", "--no-tag-display-limit", "--fail-on=error,warning,info"]);
    shown(quietly(lintian.arg("--info").arg(package)))
}

/// rpmlint; exceptions are in packaging/rpm/rpmlint.toml.
pub(crate) fn rpm(package: &Path) -> Result<()> {
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.arg("--strict").arg("--config");
    rpmlint.arg(project::root().join("packaging/rpm/rpmlint.toml"));
    shown(quietly(rpmlint.arg(package)))
}

/// cargo-deny: which crates, licences and registries there may be; rules and exceptions are in deny.toml.
pub(crate) fn dependencies(job: &Job<'_>) -> Result<()> {
    // It asks cargo for the crates of every platform; what was built needed those of one.
    quietly(job.cargo().args(["fetch", "--locked"]))?;
    let mut cargo = job.cargo();
    // Not advisories: their database would have to be fetched.
    cargo.args(["deny", "--locked", "--offline", "check", "bans", "licenses", "sources"]);
    quietly(&mut cargo).map(drop)
}

fn shown(output: Result<Vec<u8>>) -> Result<()> {
    println!("{}", String::from_utf8_lossy(&output?).trim_end());
    Ok(())
}
