//! What the distributions' own checkers say: nothing, but for what is excused in `packaging`, each with its
//! reason.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

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

fn shown(output: Result<Vec<u8>>) -> Result<()> {
    println!("{}", String::from_utf8_lossy(&output?).trim_end());
    Ok(())
}
