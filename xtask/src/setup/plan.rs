//! From what is known of the machine to the steps that are left. Pure.

use std::fmt;

use super::archive::{Archive, COMPILERS, CONFLICTS};
use super::crates::Tool;
use super::facts::Facts;
use super::needs::Need;
use super::toolchain::{LINKED, LINKER_VERSION, NIGHTLY, Origin, Version, linker_supports};

/// What bpf-linker's build needs beside LLVM.
const LINKER_PACKAGES: [&str; 3] = ["g++", "libzstd-dev", "zlib1g-dev"];

/// A Debian package to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Services it would start, to be left off.
    pub(crate) services: &'static [&'static str],
}

/// One thing to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Install(Vec<Package>),
    /// Install packages in the versions of Debian's backports for this release.
    Backport {
        packages: Vec<Package>,
        codename: String,
    },
    /// Link Debian's compiler as rustup toolchain [`LINKED`].
    Link,
    /// Build bpf-linker for this LLVM.
    Linker {
        llvm: u32,
    },
    /// Build a program of crates.io.
    Tool(&'static Tool),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// The toolchain that the build script has to be told, because it would choose another.
    pub(crate) toolchain: Option<String>,
}

/// Why setup cannot do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    NoRustup,
    NoApt,
    /// `PRROUTE_BPF_TOOLCHAIN` names a toolchain without the sources of `core`.
    UnusableToolchain(String),
    /// The newest compiler that the archive offers, if any.
    NoCompiler(Option<Version>),
    /// No LLVM development package for a compiler that could be used.
    NoLlvm(u32),
    NotOffered(Vec<String>),
    /// Packages whose candidate is older than what is installed of the same source, on a
    /// system whose backports are not known.
    Behind(Vec<String>),
    /// An installed package excludes Debian's compiler.
    Conflict(&'static str),
}

impl Blocked {
    /// Whether more can be planned when it is known what apt offers.
    pub(crate) fn archive_may_help(&self) -> bool {
        !matches!(self, Self::NoRustup | Self::UnusableToolchain(_))
    }
}

/// A way to a compiler and a linker that fit together.
#[derive(Debug)]
struct Way {
    packages: Vec<String>,
    link: bool,
    llvm: u32,
    build_linker: bool,
    toolchain: Option<String>,
}

pub(crate) fn plan(facts: &Facts) -> Result<Plan, Blocked> {
    let mut packages = Vec::new();
    let mut steps = Vec::new();
    let mut toolchain = None;
    if !facts.object_given {
        let way = way_to_bpf(facts)?;
        packages.extend(way.packages.into_iter().map(|name| Package { name, services: &[] }));
        if way.link {
            steps.push(Step::Link);
        }
        if way.build_linker {
            steps.push(Step::Linker { llvm: way.llvm });
        }
        toolchain = way.toolchain;
    }
    steps.extend(facts.missing_tools.iter().map(|tool| Step::Tool(tool)));
    let (usual, backported) = missing_programs(facts)?.into_iter().partition(|package| {
        !facts.archive.as_ref().is_some_and(|archive| archive.behind.contains(&package.name))
    });
    packages.extend::<Vec<Package>>(usual);
    let backported: Vec<Package> = backported;
    if !backported.is_empty() {
        let codename = facts.codename.clone();
        let names = || backported.iter().map(|package| package.name.clone()).collect();
        let codename = codename.ok_or_else(|| Blocked::Behind(names()))?;
        steps.insert(0, Step::Backport { packages: backported, codename });
    }
    if !packages.is_empty() {
        steps.insert(0, Step::Install(packages));
    }
    Ok(Plan { steps, toolchain })
}

fn missing_programs(facts: &Facts) -> Result<Vec<Package>, Blocked> {
    if facts.missing.is_empty() {
        return Ok(Vec::new());
    }
    let archive = facts.archive.as_ref().ok_or(Blocked::NoApt)?;
    let mut packages: Vec<Package> = Vec::new();
    for need in &facts.missing {
        if packages.iter().all(|package| package.name != need.package) {
            let new = !archive.installed.contains(need.package);
            let services = if new { need.services } else { &[] };
            packages.push(Package { name: need.package.to_owned(), services });
        }
    }
    let absent = packages.iter().map(|p| &p.name).filter(|name| !archive.offers(name));
    let absent: Vec<String> = absent.cloned().collect();
    if absent.is_empty() { Ok(packages) } else { Err(Blocked::NotOffered(absent)) }
}

/// The first way that leaves nothing to do, else the first that can be gone.
fn way_to_bpf(facts: &Facts) -> Result<Way, Blocked> {
    if !facts.rustup {
        return Err(Blocked::NoRustup);
    }
    let mut ways = Vec::new();
    let mut blocked = None;
    // The build script takes the linked toolchain where that has the sources, wanted or not.
    let linked = facts.compilers.iter().any(|c| c.origin == Origin::Linked);
    for compiler in facts.compilers.iter().filter(|c| c.version >= Version::required()) {
        let link = compiler.origin == Origin::System;
        let toolchain = match compiler.origin {
            Origin::Nightly => linked.then(|| NIGHTLY.to_owned()),
            Origin::Named(_) | Origin::Linked | Origin::System => None,
        };
        match with_linker(facts, compiler.llvm) {
            Ok((packages, build_linker)) => {
                let llvm = compiler.llvm;
                ways.push(Way { packages, link, llvm, build_linker, toolchain });
            }
            Err(reason) => blocked = blocked.or(Some(reason)),
        }
    }
    if let Some(name) = &facts.named_toolchain {
        if ways.is_empty() {
            return Err(blocked.unwrap_or_else(|| Blocked::UnusableToolchain(name.clone())));
        }
    } else {
        match from_archive(facts) {
            Ok(way) => ways.push(way),
            Err(reason) => blocked = blocked.or(Some(reason)),
        }
    }
    let done = |way: &Way| way.packages.is_empty() && !way.link && !way.build_linker;
    let best = ways.iter().position(done).unwrap_or(0);
    if best < ways.len() {
        return Ok(ways.swap_remove(best));
    }
    Err(blocked.unwrap_or(Blocked::NoCompiler(None)))
}

/// Debian's compiler, installed for the purpose.
fn from_archive(facts: &Facts) -> Result<Way, Blocked> {
    let archive = facts.archive.as_ref().ok_or(Blocked::NoApt)?;
    let mut newest = None;
    for (compiler, sources) in COMPILERS {
        let Some(version) = archive.compiler_version(compiler) else { continue };
        newest = newest.max(Some(version));
        let Some(&llvm) = archive.compiler_llvm.get(compiler) else { continue };
        if version < Version::required() || !archive.offers(sources) {
            continue;
        }
        let foreign = |name: &&str| *name != compiler && *name != sources;
        let mut conflicts = CONFLICTS.into_iter().filter(foreign);
        if let Some(name) = conflicts.find(|name| archive.installed.contains(*name)) {
            return Err(Blocked::Conflict(name));
        }
        let (linker_packages, build_linker) = with_linker(facts, llvm)?;
        let mut packages = vec![compiler.to_owned(), sources.to_owned()];
        packages.extend(linker_packages);
        return Ok(Way { packages, link: true, llvm, build_linker, toolchain: None });
    }
    Err(Blocked::NoCompiler(newest))
}

/// The packages for a linker that fits this LLVM, and whether it has to be built.
fn with_linker(facts: &Facts, llvm: u32) -> Result<(Vec<String>, bool), Blocked> {
    if facts.linker == Some(llvm) {
        return Ok((Vec::new(), false));
    }
    if !linker_supports(llvm) {
        return Err(Blocked::NoLlvm(llvm));
    }
    let archive = facts.archive.as_ref().ok_or(Blocked::NoApt)?;
    let packages = linker_packages(llvm);
    if !packages.iter().all(|package| archive.has(package)) {
        return Err(Blocked::NoLlvm(llvm));
    }
    let absent = |archive: &Archive, name: &String| !archive.installed.contains(name);
    Ok((packages.into_iter().filter(|name| absent(archive, name)).collect(), true))
}

/// What bpf-linker is built from, for this LLVM.
pub(crate) fn linker_packages(llvm: u32) -> Vec<String> {
    let llvm = [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")];
    llvm.into_iter().chain(LINKER_PACKAGES.map(str::to_owned)).collect()
}

/// Every package that a plan may name.
pub(crate) fn every_package(missing: &[&Need]) -> Vec<String> {
    let mut packages: Vec<String> = missing.iter().map(|need| need.package.to_owned()).collect();
    packages.extend(COMPILERS.iter().flat_map(|(a, b)| [a, b]).map(|name| (*name).to_owned()));
    packages.extend(CONFLICTS.map(str::to_owned));
    packages.extend((0..100).filter(|llvm| linker_supports(*llvm)).flat_map(linker_packages));
    packages.sort();
    packages.dedup();
    packages
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install(packages) => write_packages(f, "Debian packages", packages),
            Self::Backport { packages, codename } => {
                write_packages(f, &format!("Debian packages of {codename}-backports"), packages)?;
                write!(f, "\n    (what is installed of the same source is newer than {codename})")
            }
            Self::Link => write!(f, "rustup toolchain {LINKED}: a link to Debian's Rust in /usr"),
            Self::Linker { llvm } => write!(
                f,
                "bpf-linker {LINKER_VERSION} for LLVM {llvm}, built by cargo into .tools \
                 (a minute or two)"
            ),
            Self::Tool(tool) => write!(
                f,
                "{} {}, built by cargo into .tools (some minutes)",
                tool.name, tool.version
            ),
        }
    }
}

fn write_packages(f: &mut fmt::Formatter<'_>, kind: &str, packages: &[Package]) -> fmt::Result {
    write!(f, "{kind}:")?;
    for package in packages {
        write!(f, " {}", package.name)?;
    }
    let mut silent = packages.iter().filter(|p| !p.services.is_empty()).peekable();
    if silent.peek().is_some() {
        write!(f, "\n    (services left off, now and at boot:")?;
        for service in silent.flat_map(|p| p.services) {
            write!(f, " {service}")?;
        }
        write!(f, ")")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
