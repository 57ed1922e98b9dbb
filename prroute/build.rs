//! Builds the BPF object and leaves its path in `PRROUTE_BPF_OBJECT_PATH`.
//!
//! * `PRROUTE_BPF_OBJECT=FILE` embeds an object that was built elsewhere.
//! * Otherwise it is built with the toolchain in `PRROUTE_BPF_TOOLCHAIN`, by default the linked
//!   toolchain that `cargo xtask setup` makes, or a nightly that has rust-src.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use aya_build::{Package, Toolchain};

/// Name under which `cargo xtask setup` links a toolchain that can build `core` for BPF.
const LINKED_TOOLCHAIN: &str = "prroute-bpf";

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=PRROUTE_BPF_OBJECT");
    println!("cargo:rerun-if-env-changed=PRROUTE_BPF_TOOLCHAIN");

    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let object = match env::var_os("PRROUTE_BPF_OBJECT") {
        Some(given) => {
            let given = PathBuf::from(given);
            println!("cargo:rerun-if-changed={}", given.display());
            let copy = out.join("prroute-bpf");
            fs::copy(&given, &copy)
                .with_context(|| format!("PRROUTE_BPF_OBJECT: copy {}", given.display()))?;
            copy
        }
        None => build(&out)?,
    };
    println!("cargo:rustc-env=PRROUTE_BPF_OBJECT_PATH={}", object.display());
    Ok(())
}

fn build(out: &Path) -> Result<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no manifest dir")?);
    let root = manifest.parent().context("the manifest directory has no parent")?;
    let package_dir = root.join("prroute-ebpf");
    println!("cargo:rerun-if-changed={}", root.join("prroute-common").display());

    let toolchain = toolchain()?;
    let mut path = vec![root.join(".tools/bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // SAFETY: a build script has one thread at this point; nothing reads the environment
    // concurrently.
    unsafe { env::set_var("PATH", env::join_paths(path)?) };
    // SAFETY: as above. `-Z build-std=core` is an unstable flag; the linked toolchain is stable.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    // SAFETY: as above. aya-build turns each line of the inner cargo into a warning.
    unsafe { env::set_var("CARGO_TERM_QUIET", "true") };

    let other_version = env::var_os("CARGO_FEATURE_OTHER_VERSION").is_some();
    let features: &[&str] = if other_version { &["other-version"] } else { &[] };
    aya_build::build_ebpf(
        [Package {
            name: "prroute-ebpf",
            features,
            root_dir: package_dir.to_str().context("the path is not UTF-8")?,
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
    for name in ["nightly", LINKED_TOOLCHAIN] {
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
        "no toolchain can build core for BPF: run `cargo xtask setup`, \
         or set PRROUTE_BPF_TOOLCHAIN or PRROUTE_BPF_OBJECT"
    )
}
