//! The BPF object: built here, or given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use aya_build::{Package, Toolchain};
use sha2::{Digest as _, Sha256};

use crate::dwarf;

/// A file to embed, and what it must be.
const GIVEN: &str = "PRROUTE_BPF_OBJECT";
const GIVEN_HASH: &str = "PRROUTE_BPF_OBJECT_SHA256";

/// Name under which `cargo xtask setup` links a toolchain that can build `core` for BPF.
const LINKED_TOOLCHAIN: &str = "prroute-bpf";

/// Leaves its path in `PRROUTE_BPF_OBJECT_PATH`, and its hash in `PRROUTE_BPF_SHA256`.
pub(crate) fn tell(root: &Path) -> Result<()> {
    for variable in [GIVEN, GIVEN_HASH, "PRROUTE_BPF_TOOLCHAIN"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let (object, hash) = match env::var_os(GIVEN) {
        Some(given) => copy(&PathBuf::from(given), &out)?,
        None => {
            let path = build(root, &out)?;
            let built = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let object = dwarf::removed_from(&built)
                .with_context(|| format!("remove DWARF from {}", path.display()))?;
            fs::write(&path, &object).with_context(|| format!("write {}", path.display()))?;
            (path, hash_of(&object))
        }
    };
    println!("cargo:rustc-env=PRROUTE_BPF_OBJECT_PATH={}", object.display());
    println!("cargo:rustc-env=PRROUTE_BPF_SHA256={hash}");
    Ok(())
}

/// Takes the object that was given, if it is the one that was meant.
fn copy(given: &Path, out: &Path) -> Result<(PathBuf, String)> {
    println!("cargo:rerun-if-changed={}", given.display());
    let object = fs::read(given).with_context(|| format!("{GIVEN}: read {}", given.display()))?;
    let hash = hash_of(&object);
    let stated = env::var(GIVEN_HASH).unwrap_or_default();
    ensure!(
        !stated.is_empty(),
        "{GIVEN} is set, and {GIVEN_HASH} is not: it must say the SHA-256 of the object that you mean \
         ({} has {hash})",
        given.display()
    );
    ensure!(
        stated.eq_ignore_ascii_case(&hash),
        "{GIVEN}: {} is another object than the one that was meant: its SHA-256 is {hash}, \
         {GIVEN_HASH} is {stated}",
        given.display()
    );
    let copy = out.join("prroute-bpf");
    fs::write(&copy, object).with_context(|| format!("write {}", copy.display()))?;
    Ok((copy, hash))
}

fn hash_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn build(root: &Path, out: &Path) -> Result<PathBuf> {
    let package_dir = root.join("prroute-ebpf");
    println!("cargo:rerun-if-changed={}", root.join("prroute-common").display());

    let toolchain = toolchain()?;
    let mut path = vec![root.join(".tools/bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // SAFETY: a build script has one thread at this point; nothing reads the environment
    // concurrently.
    unsafe { env::set_var("PATH", env::join_paths(path)?) };
    for (variable, value) in [
        // `-Z build-std=core` is an unstable flag; the linked toolchain is stable.
        ("RUSTC_BOOTSTRAP", "1"),
        // aya-build turns each line of the inner cargo into a warning.
        ("CARGO_TERM_QUIET", "true"),
        // No path of this machine in the object: the same source gives the same object in any folder.
        // aya-build sets the flags of rustc, so cargo has to add those that say it.
        ("CARGO_UNSTABLE_TRIM_PATHS", "true"),
        ("CARGO_PROFILE_RELEASE_TRIM_PATHS", "all"),
    ] {
        // SAFETY: as above.
        unsafe { env::set_var(variable, value) };
    }

    let other_version = env::var_os("CARGO_FEATURE_OTHER_VERSION").is_some();
    let features: &[&str] = if other_version { &["other-version"] } else { &[] };
    aya_build::build_ebpf(
        [Package {
            name: "prroute-ebpf",
            root_dir: package_dir.to_str().context("the path is not UTF-8")?,
            features,
            ..Package::default()
        }],
        Toolchain::Custom(&toolchain),
    )
    .context("build the BPF object (cargo xtask setup installs what this needs)")?;
    Ok(out.join("prroute-bpf"))
}

/// The first toolchain that has the sources of `core`.
fn toolchain() -> Result<String> {
    if let Ok(name) = env::var("PRROUTE_BPF_TOOLCHAIN") {
        return Ok(name);
    }
    for name in [LINKED_TOOLCHAIN, "nightly"] {
        let sysroot = Command::new("rustup")
            .args(["run", name, "rustc", "--print", "sysroot"])
            .output()
            .context("run rustup")?;
        let sysroot = String::from_utf8_lossy(&sysroot.stdout);
        if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists() {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "no toolchain can build core for BPF: run `cargo xtask setup`, set PRROUTE_BPF_TOOLCHAIN, or set \
         {GIVEN} and {GIVEN_HASH}"
    )
}
