//! Building for another architecture than the machine's: with Debian's compiler, the standard library of its
//! package for that architecture, and the cross linker.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::apt::{STABLE, State};
use crate::project::{self, quietly};
use crate::target::Architecture;
use crate::unpack::{self, Build};

/// Debian's compiler, and its standard library.
const COMPILER: &str = "rustc-web";
const LIBRARY: &str = "libstd-rust-web-dev";
const RUSTC: &str = "/usr/bin/rustc";

/// Tells cargo how to build for an architecture; nothing for the machine's own.
pub(crate) fn configure(cargo: &mut Command, architecture: Architecture) -> Result<()> {
    if !architecture.is_foreign() {
        return Ok(());
    }
    let triple = architecture.triple();
    let linker = format!("{}-linux-gnu-gcc", architecture.machine());
    // Flags that are given elsewhere are added to these, as they would not be to a variable's.
    let flags = format!("target.{triple}.rustflags={:?}", flags(architecture)?);
    cargo.args(["--config", &flags, "--config", &format!("target.{triple}.linker='{linker}'")]);
    cargo.env("RUSTC", RUSTC);
    Ok(())
}

/// What rustc needs for an architecture: what [`configure`] gives it, for who sets flags by a variable.
pub(crate) fn flags(architecture: Architecture) -> Result<Vec<String>> {
    if !architecture.is_foreign() {
        return Ok(Vec::new());
    }
    Ok(vec![format!("--sysroot={}", sysroot(architecture)?.display())])
}

/// A directory with the standard library, made once for each version of the compiler.
fn sysroot(architecture: Architecture) -> Result<PathBuf> {
    let version = installed_version()?;
    let name = format!("{}-{version}", architecture.debian());
    let home = project::target().join("sysroot").join(name);
    if unpack::is_made(&home) {
        return Ok(home);
    }
    eprintln!("the standard library for {} comes from the archive once", architecture.triple());
    let apt = state(architecture)?;
    let library = Build { name: LIBRARY.to_owned(), version };
    let builds = unpack::with_parts(&apt, library, &["libstd-rust-"])?;
    unpack::make(&apt, &builds, &home, |unfinished| {
        let library = unfinished.join("lib/rustlib").join(architecture.triple());
        ensure!(library.is_dir(), "{LIBRARY} has no library for {}", architecture.triple());
        Ok(())
    })?;
    Ok(home)
}

/// apt, with the packages of the machine's release for another architecture, freshly listed.
fn state(architecture: Architecture) -> Result<State> {
    let security = format!("{STABLE}-security");
    let suites = [(STABLE, STABLE), (&security, &security)];
    let apt = State::make(architecture.debian(), &suites, architecture.debian())?;
    unpack::update(&apt)?;
    Ok(apt)
}

/// The library has to be of the compiler's version.
fn installed_version() -> Result<String> {
    let mut dpkg = Command::new("dpkg-query");
    dpkg.args(["--show", "--showformat=${Version}", COMPILER]);
    let shown = quietly(&mut dpkg).context(
        "code for another architecture is built with Debian's compiler: apt-get install rustc-web",
    )?;
    Ok(String::from_utf8_lossy(&shown).into_owned())
}
