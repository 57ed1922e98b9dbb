//! Rust compilers that can build `core` for BPF, and the linker that goes with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::project;

/// Name of the toolchain that setup links; the build script of prroute knows it too.
pub(crate) const LINKED: &str = "prroute-bpf";

/// The channel that the build script takes where that toolchain has no sources.
pub(crate) const NIGHTLY: &str = "nightly";

/// Where Debian's compiler lives.
pub(crate) const SYSTEM_SYSROOT: &str = "/usr";

/// The version of bpf-linker that is installed, and the LLVM majors it can be built for.
pub(crate) const LINKER_VERSION: &str = "0.13.0";
const LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Major and minor version of a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    /// The first two numbers of e.g. `1.96.0+dfsg1-1~deb12u2` or `1.97.0-nightly`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// The oldest compiler that builds prroute (`rust-version` of the workspace).
    pub(crate) fn required() -> Self {
        Self::parse(env!("CARGO_PKG_RUST_VERSION")).unwrap_or(Self(u32::MAX, 0))
    }
}

/// How rustup knows a compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Named in `PRROUTE_BPF_TOOLCHAIN`.
    Named(String),
    /// The nightly channel.
    Nightly,
    /// A toolchain that is linked as [`LINKED`].
    Linked,
    /// Debian's, before it is linked.
    System,
}

/// A compiler that is installed together with the sources of `core`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) origin: Origin,
    pub(crate) version: Version,
    pub(crate) llvm: u32,
}

/// Whether [`LINKER_VERSION`] can be built for this LLVM.
pub(crate) fn linker_supports(llvm: u32) -> bool {
    LINKER_LLVM.contains(&llvm)
}

/// The installed compilers that can build `core`, the ones the build script prefers first.
/// `None` when there is no rustup.
pub(crate) fn compilers(named: Option<&str>) -> Option<Vec<Compiler>> {
    let output = Command::new("rustup").args(["toolchain", "list", "-v"]).output().ok()?;
    let mut sysroots = sysroots(&String::from_utf8_lossy(&output.stdout), named);
    if named.is_none() {
        sysroots.push((Origin::System, PathBuf::from(SYSTEM_SYSROOT)));
    }
    Some(sysroots.into_iter().filter_map(|(origin, path)| compiler(origin, &path)).collect())
}

/// The toolchains of interest in the output of `rustup toolchain list -v`.
fn sysroots(list: &str, named: Option<&str>) -> Vec<(Origin, PathBuf)> {
    let mut found: Vec<(u8, Origin, PathBuf)> =
        list.lines()
            .filter_map(|line| {
                let (name, rest) = line.split_once(char::is_whitespace)?;
                let path = PathBuf::from(&rest[rest.find('/')?..]);
                match named {
                    Some(wanted) => is_toolchain(name, wanted)
                        .then(|| (0, Origin::Named(wanted.to_owned()), path)),
                    None if name == LINKED => Some((1, Origin::Linked, path)),
                    None if is_toolchain(name, NIGHTLY) => Some((2, Origin::Nightly, path)),
                    None => None,
                }
            })
            .collect();
    found.sort_by_key(|(preference, ..)| *preference);
    found.into_iter().map(|(_, origin, path)| (origin, path)).collect()
}

/// Whether rustup's `wanted` means the installed toolchain `name`: `nightly` means
/// `nightly-x86_64-unknown-linux-gnu`, and not `nightly-2026-01-01-x86_64-unknown-linux-gnu`.
fn is_toolchain(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix('-').is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn compiler(origin: Origin, sysroot: &Path) -> Option<Compiler> {
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return None;
    }
    let output = Command::new(sysroot.join("bin/rustc")).arg("-vV").output().ok()?;
    let (version, llvm) = release(&String::from_utf8_lossy(&output.stdout))?;
    Some(Compiler { origin, version, llvm })
}

/// Version and LLVM major in the output of `rustc -vV`.
fn release(verbose: &str) -> Option<(Version, u32)> {
    let field = |name| verbose.lines().find_map(|line| line.strip_prefix(name));
    let version = Version::parse(field("release: ")?)?;
    let Version(llvm, _) = Version::parse(field("LLVM version: ")?)?;
    Some((version, llvm))
}

/// The LLVM major of the bpf-linker that the build would use, if it runs and is known to fit.
pub(crate) fn linker() -> Option<u32> {
    let own = project::tools().join("bin/bpf-linker");
    let linker = if own.is_file() { own } else { project::find_program("bpf-linker")? };
    // It is linked with LLVM's shared library, which may have gone.
    let status = Command::new(&linker).arg("--version").stdout(Stdio::null()).status().ok()?;
    if !status.success() {
        return None;
    }
    // Other builds do not tell which LLVM they are made for.
    let record = linker.parent()?.parent()?.join(".crates2.json");
    linker_llvm(&std::fs::read_to_string(record).ok()?)
}

/// The LLVM major of the bpf-linker of our version in cargo's record of installed crates.
fn linker_llvm(record: &str) -> Option<u32> {
    let record: Value = serde_json::from_str(record).ok()?;
    let wanted = format!("bpf-linker {LINKER_VERSION} ");
    let (_, installed) =
        record["installs"].as_object()?.iter().find(|(id, _)| id.starts_with(&wanted))?;
    installed["features"]
        .as_array()?
        .iter()
        .find_map(|feature| feature.as_str()?.strip_prefix("llvm-")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_toolchain_is_preferred_to_a_nightly_and_dated_ones_are_not_meant() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default) /h/toolchains/stable\n\
                    prroute-bpf /usr\n\
                    nightly-2026-01-01-x86_64-unknown-linux-gnu /h/toolchains/dated\n\
                    nightly-x86_64-unknown-linux-gnu\t/h/tool chains/nightly\n";
        assert_eq!(
            sysroots(list, None),
            [
                (Origin::Linked, PathBuf::from("/usr")),
                (Origin::Nightly, PathBuf::from("/h/tool chains/nightly")),
            ]
        );
        assert_eq!(
            sysroots(list, Some("stable")),
            [(Origin::Named("stable".into()), PathBuf::from("/h/toolchains/stable"))]
        );
        assert_eq!(sysroots("no installed toolchains\n", None), []);
        let build_script = include_str!("../../../prroute/build/object.rs");
        assert!(build_script.contains("[LINKED_TOOLCHAIN, \"nightly\"]"), "another order there");
    }

    #[test]
    fn release_and_llvm_are_read_from_rustc() {
        let verbose = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
                       release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(release(verbose), Some((Version(1, 97), 22)));
        assert_eq!(release("rustc 1.97.0\n"), None);
    }

    #[test]
    fn debian_versions_compare_with_what_the_workspace_requires() {
        assert_eq!(Version::parse("1.96.0+dfsg1-1~deb12u2"), Some(Version(1, 96)));
        assert_eq!(Version::parse("(none)"), None);
        assert!(Version(1, 63) < Version::required());
        assert!(Version(1, 100) > Version(1, 99));
    }

    #[test]
    fn only_our_version_of_the_linker_with_a_known_llvm_counts() {
        let record = |version: &str, features: &str| {
            format!(
                r#"{{"installs":{{"bpf-linker {version} (registry+x)":{{"features":[{features}]}}}}}}"#
            )
        };
        assert_eq!(linker_llvm(&record("0.13.0", r#""llvm-22""#)), Some(22));
        assert_eq!(linker_llvm(&record("0.13.0", r#""llvm-link-static","llvm-21""#)), Some(21));
        assert_eq!(linker_llvm(&record("0.13.0", "")), None);
        assert_eq!(linker_llvm(&record("0.9.0", r#""llvm-22""#)), None);
        assert_eq!(linker_llvm("not json"), None);
    }
}
