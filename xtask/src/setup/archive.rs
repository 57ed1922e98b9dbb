//! What the Debian archive offers, and what is installed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result};

use super::toolchain::Version;

/// Pairs of a compiler package and the package with its sources of `core`, best first. Debian
/// keeps the first pair current for its browsers.
pub(crate) const COMPILERS: [(&str, &str); 2] =
    [("rustc-web", "rust-web-src"), ("rustc", "rust-src")];

/// Packages that Debian declares in conflict with the compiler packages above.
pub(crate) const CONFLICTS: [&str; 5] =
    ["rustup", "rustc", "rustc-mozilla", "rust-src", "rust-mozilla-src"];

/// Packages, each with another of the same source that has to have its version: to install
/// the first in an older version than the second has would remove the second.
pub(crate) const TWINS: [(&str, &str); 2] =
    [("qemu-system-x86", "qemu-utils"), ("qemu-system-arm", "qemu-system-common")];

/// The state of the packages that setup deals with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Version that apt would install.
    pub(crate) candidates: BTreeMap<String, String>,
    pub(crate) installed: BTreeSet<String>,
    /// Packages of [`TWINS`] whose candidate is older than the twin that is installed.
    pub(crate) behind: BTreeSet<String>,
    /// LLVM major that a compiler package of [`COMPILERS`] depends on.
    pub(crate) compiler_llvm: BTreeMap<String, u32>,
}

impl Archive {
    pub(crate) fn offers(&self, package: &str) -> bool {
        self.candidates.contains_key(package)
    }

    /// Installed, or can be.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.installed.contains(package) || self.offers(package)
    }

    /// Version of the compiler package that apt would install.
    pub(crate) fn compiler_version(&self, package: &str) -> Option<Version> {
        self.candidates.get(package).and_then(|text| Version::parse(text))
    }
}

/// Asks apt and dpkg about `packages`.
pub(crate) fn look_up(packages: &[String]) -> Result<Archive> {
    let policy = output(Command::new("apt-cache").arg("policy").args(packages))?;
    // dpkg-query fails when it does not know one of the packages, and still lists the others.
    let status = output(
        Command::new("dpkg-query")
            .args(["--show", "--showformat=${db:Status-Status} ${Package}\\n"])
            .args(packages),
    )?;
    let mut compiler_llvm = BTreeMap::new();
    for (compiler, _) in COMPILERS {
        let depends = output(Command::new("apt-cache").args([
            "depends",
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
            compiler,
        ]))?;
        if let Some(llvm) = llvm_of(&depends) {
            compiler_llvm.insert(compiler.to_owned(), llvm);
        }
    }
    let candidates = candidates(&policy);
    let mut behind = BTreeSet::new();
    for (package, twin) in TWINS {
        let twin = output(Command::new("dpkg-query").args(["--show", VERSION, twin]))?;
        if let (Some(candidate), Some(twin)) = (candidates.get(package), version(&twin))
            && is_older(candidate, twin)?
        {
            behind.insert(package.to_owned());
        }
    }
    Ok(Archive { candidates, installed: installed(&status), behind, compiler_llvm })
}

/// What dpkg-query shows of a package, for [`version`].
const VERSION: &str = "--showformat=${db:Status-Status} ${Version}\\n";

/// The version of an installed package, as dpkg-query shows it.
fn version(shown: &str) -> Option<&str> {
    shown.lines().find_map(|line| line.strip_prefix("installed "))
}

fn is_older(version: &str, than: &str) -> Result<bool> {
    let mut dpkg = Command::new("dpkg");
    dpkg.args(["--compare-versions", version, "lt", than]);
    Ok(dpkg.status().with_context(|| format!("run {dpkg:?}"))?.success())
}

/// Standard output of a query, whatever its exit code.
fn output(command: &mut Command) -> Result<String> {
    let output = command.env("LC_ALL", "C").output().with_context(|| format!("run {command:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Package and candidate version in the output of `apt-cache policy`.
fn candidates(policy: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut package = "";
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            package = name;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ")
            && version != "(none)"
        {
            found.insert(package.to_owned(), version.to_owned());
        }
    }
    found
}

fn installed(status: &str) -> BTreeSet<String> {
    status.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect()
}

/// The LLVM library among the dependencies of a compiler.
fn llvm_of(depends: &str) -> Option<u32> {
    depends.lines().find_map(|line| line.strip_prefix("libllvm")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_a_candidate_are_not_offered() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  \
                      Version table:\n     1.96.0+dfsg1-1~deb12u2 500\n        500 http://x main\n\
                      gone:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        let archive = Archive { candidates: candidates(policy), ..Archive::default() };
        assert_eq!(archive.compiler_version("rustc-web"), Some(Version(1, 96)));
        assert!(!archive.offers("gone"));
    }

    #[test]
    fn a_removed_package_whose_configuration_is_left_is_not_installed() {
        let status = "installed gcc\nconfig-files nginx\nnot-installed curl\n";
        assert_eq!(installed(status), BTreeSet::from(["gcc".to_owned()]));
    }

    #[test]
    fn only_a_package_that_is_installed_has_a_version() {
        assert_eq!(version("installed 1:10.0~bpo12+1\n"), Some("1:10.0~bpo12+1"));
        assert_eq!(version("config-files 1:7.2\n"), None);
    }

    #[test]
    fn a_version_from_the_backports_is_newer_than_the_stable_one() {
        assert!(is_older("1:7.2+dfsg-7", "1:10.0.2+ds-2~bpo12+1").unwrap());
        assert!(!is_older("1:7.2+dfsg-7", "1:7.2+dfsg-7").unwrap());
    }

    #[test]
    fn the_llvm_of_a_compiler_is_the_library_it_depends_on() {
        let depends = "rustc-web\n  Depends: libc6\n  Depends: libstd-rust-web-dev\n\
                       libstd-rust-web-1.96\n  Depends: libllvm22\nlibllvm22\nzlib1g\n";
        assert_eq!(llvm_of(depends), Some(22));
        assert_eq!(llvm_of("rustc-web\n  Depends: libc6\n"), None);
    }
}
