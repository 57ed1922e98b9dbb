//! Machines, and what is left to do on them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::needs::Need;
use super::super::toolchain::Compiler;
use super::*;
use crate::setup::needs::Scope;

const NFT: Need = Need { scope: Scope::Demo, program: "nft", package: "nftables", services: &[] };
const DOCKERD: Need = Need {
    scope: Scope::Test,
    program: "dockerd",
    package: "docker.io",
    services: &["docker.service"],
};
const QEMU: Need = Need {
    scope: Scope::Vm,
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    services: &[],
};
const DOCKER: Need = Need { program: "docker", ..DOCKERD };

fn compiler(origin: Origin, llvm: u32) -> Compiler {
    let version = Version::required();
    Compiler { origin, version, llvm }
}

/// Debian 12 with its security archive.
fn debian() -> Archive {
    let offered = [
        ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
        ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
        ("rustc", "1.63.0+dfsg1-2"),
        ("rust-src", "1.63.0+dfsg1-2"),
        ("llvm-22-dev", "1:22.1.8-1~deb12u1"),
        ("libpolly-22-dev", "1:22.1.8-1~deb12u1"),
        ("g++", "4:12.2.0-3"),
        ("libzstd-dev", "1.5.4"),
        ("zlib1g-dev", "1.2.13"),
        ("nftables", "1.0.6"),
        ("docker.io", "20.10"),
        ("qemu-system-x86", "1:7.2"),
    ];
    Archive {
        candidates: offered.map(|(name, version)| (name.to_owned(), version.to_owned())).into(),
        installed: BTreeSet::new(),
        behind: BTreeSet::new(),
        compiler_llvm: BTreeMap::from([("rustc-web".to_owned(), 22), ("rustc".to_owned(), 14)]),
    }
}

/// rustup, a stable toolchain and nothing else.
fn fresh() -> Facts {
    Facts { root: true, apt: true, rustup: true, archive: Some(debian()), ..Facts::default() }
}

/// The names in the plan's install step.
fn installs(plan: &Plan) -> Vec<&str> {
    plan.steps
        .iter()
        .filter_map(|step| match step {
            Step::Install(packages) => Some(packages.iter().map(|p| p.name.as_str())),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_fresh_debian_gets_compiler_linker_and_programs_in_this_order() {
    let plan = plan(&Facts { missing: vec![&NFT], ..fresh() }).unwrap();
    assert_eq!(
        installs(&plan),
        [
            "rustc-web",
            "rust-web-src",
            "llvm-22-dev",
            "libpolly-22-dev",
            "g++",
            "libzstd-dev",
            "zlib1g-dev",
            "nftables"
        ]
    );
    assert_eq!(plan.steps[1..], [Step::Link, Step::Linker { llvm: 22 }]);
    assert_eq!(plan.toolchain, None);
}

#[test]
fn nothing_is_done_twice() {
    let compilers = vec![compiler(Origin::Linked, 22), compiler(Origin::System, 22)];
    let done = Facts { compilers, linker: Some(22), archive: None, ..fresh() };
    assert_eq!(plan(&done), Ok(Plan::default()));
    // Nor because something else is missing.
    let other = Facts { missing: vec![&NFT], archive: Some(debian()), ..done };
    assert_eq!(installs(&plan(&other).unwrap()), ["nftables"]);
    assert_eq!(plan(&other).unwrap().steps.len(), 1);
}

#[test]
fn a_nightly_with_sources_is_used_with_a_linker_for_its_llvm() {
    let compilers = vec![compiler(Origin::Nightly, 22)];
    let plan = plan(&Facts { compilers, ..fresh() }).unwrap();
    assert!(!installs(&plan).contains(&"rustc-web"));
    assert!(installs(&plan).contains(&"llvm-22-dev"));
    assert_eq!(plan.steps.last(), Some(&Step::Linker { llvm: 22 }));
    assert_eq!(plan.toolchain, None);
}

#[test]
fn a_nightly_whose_llvm_debian_lacks_makes_way_for_debians_compiler() {
    for llvm in [23, 99] {
        let compilers = vec![compiler(Origin::Nightly, llvm)];
        let plan = plan(&Facts { compilers, ..fresh() }).unwrap();
        assert!(installs(&plan).contains(&"rustc-web"));
        assert_eq!(plan.toolchain, None, "the build script prefers what is linked");
    }
}

#[test]
fn a_nightly_is_named_where_the_linked_compiler_would_be_taken_instead() {
    let old = Compiler { version: Version(1, 63), ..compiler(Origin::Linked, 14) };
    let with = |linked, linker| {
        let compilers = vec![linked, compiler(Origin::Nightly, 22)];
        plan(&Facts { compilers, linker: Some(linker), ..fresh() }).unwrap()
    };
    assert_eq!(with(old, 22).toolchain.as_deref(), Some("nightly"));
    assert_eq!(with(compiler(Origin::Linked, 21), 22).toolchain.as_deref(), Some("nightly"));
    assert_eq!(with(compiler(Origin::Linked, 21), 21), Plan::default());
    assert_eq!(with(compiler(Origin::Linked, 22), 22), Plan::default());
}

#[test]
fn a_linker_for_another_llvm_is_built_anew() {
    let compilers = vec![compiler(Origin::Linked, 22)];
    let plan = plan(&Facts { compilers, linker: Some(21), ..fresh() }).unwrap();
    assert_eq!(plan.steps.last(), Some(&Step::Linker { llvm: 22 }));
}

#[test]
fn debians_compiler_that_is_installed_already_is_only_linked() {
    let compilers = vec![compiler(Origin::System, 22)];
    let plan = plan(&Facts { compilers, linker: Some(22), ..fresh() }).unwrap();
    assert_eq!(plan.steps, [Step::Link]);
}

#[test]
fn a_compiler_that_is_too_old_is_replaced() {
    let old = Compiler { version: Version(1, 63), ..compiler(Origin::System, 14) };
    let plan = plan(&Facts { compilers: vec![old], ..fresh() }).unwrap();
    assert!(installs(&plan).contains(&"rustc-web"));
}

#[test]
fn an_object_built_elsewhere_needs_neither_compiler_nor_linker() {
    let facts = Facts { object_given: true, rustup: false, archive: None, ..fresh() };
    assert_eq!(plan(&facts), Ok(Plan::default()));
}

#[test]
fn a_named_toolchain_is_used_or_refused_and_never_replaced() {
    let named = Facts { named_toolchain: Some("mine".into()), ..fresh() };
    assert_eq!(plan(&named), Err(Blocked::UnusableToolchain("mine".into())));
    let compilers = vec![compiler(Origin::Named("mine".into()), 22)];
    let plan = plan(&Facts { compilers, linker: Some(22), ..named }).unwrap();
    assert_eq!(plan, Plan::default());
}

#[test]
fn services_of_new_packages_are_left_off_and_those_of_others_are_not_touched() {
    let missing = vec![&DOCKERD, &DOCKER];
    let compilers = vec![compiler(Origin::Linked, 22)];
    let mut facts = Facts { missing, compilers, linker: Some(22), ..fresh() };
    let package = |services| Package { name: "docker.io".into(), services };
    let expected = vec![Step::Install(vec![package(&["docker.service"])])];
    assert_eq!(plan(&facts).unwrap().steps, expected);

    if let Some(archive) = &mut facts.archive {
        archive.installed.insert("docker.io".to_owned());
    }
    assert_eq!(plan(&facts).unwrap().steps, [Step::Install(vec![package(&[])])]);
}

#[test]
fn a_package_whose_twin_is_newer_than_its_candidate_comes_from_the_backports() {
    let missing = vec![&NFT, &QEMU];
    let compilers = vec![compiler(Origin::Linked, 22)];
    let mut facts = Facts { missing, compilers, linker: Some(22), ..fresh() };
    assert_eq!(installs(&plan(&facts).unwrap()), ["nftables", "qemu-system-x86"]);

    if let Some(archive) = &mut facts.archive {
        archive.behind.insert("qemu-system-x86".to_owned());
    }
    assert_eq!(plan(&facts), Err(Blocked::Behind(vec!["qemu-system-x86".to_owned()])));
    facts.codename = Some("bookworm".to_owned());
    let plan = plan(&facts).unwrap();
    assert_eq!(installs(&plan), ["nftables"]);
    let packages = vec![Package { name: "qemu-system-x86".into(), services: &[] }];
    let step = Step::Backport { packages, codename: "bookworm".to_owned() };
    assert!(step.to_string().contains("bookworm-backports: qemu-system-x86"), "{step}");
    assert_eq!(plan.steps[1], step);
}

#[test]
fn what_cannot_be_done_is_told_by_its_reason() {
    assert_eq!(plan(&Facts { rustup: false, ..fresh() }), Err(Blocked::NoRustup));
    assert_eq!(plan(&Facts { archive: None, ..fresh() }), Err(Blocked::NoApt));

    let without = |names: &[&str]| {
        let mut archive = debian();
        archive.candidates.retain(|name, _| !names.contains(&name.as_str()));
        Facts { missing: vec![&NFT], archive: Some(archive), ..fresh() }
    };
    assert_eq!(
        plan(&without(&["nftables"])),
        Err(Blocked::NotOffered(vec!["nftables".to_owned()]))
    );
    assert_eq!(plan(&without(&["rustc-web"])), Err(Blocked::NoCompiler(Some(Version(1, 63)))));
    assert_eq!(plan(&without(&["rustc-web", "rustc"])), Err(Blocked::NoCompiler(None)));
    assert_eq!(plan(&without(&["llvm-22-dev"])), Err(Blocked::NoLlvm(22)));

    let mut archive = debian();
    archive.installed.insert("rustup".to_owned());
    let conflict = Facts { archive: Some(archive), ..fresh() };
    assert_eq!(plan(&conflict), Err(Blocked::Conflict("rustup")));
}

#[test]
fn the_announcement_names_every_package_and_every_service() {
    let services: &[&str] = &["docker.service", "docker.socket"];
    let packages = vec![
        Package { name: "nftables".into(), services: &[] },
        Package { name: "docker.io".into(), services },
    ];
    let text = Step::Install(packages).to_string();
    for word in ["nftables", "docker.io", "docker.service", "docker.socket"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn apt_is_asked_about_every_package_a_plan_can_name() {
    let asked = every_package(&[&NFT, &DOCKERD]);
    let plan = plan(&Facts { missing: vec![&NFT, &DOCKERD], ..fresh() }).unwrap();
    for name in installs(&plan) {
        assert!(asked.iter().any(|package| package == name), "{name}");
    }
}
