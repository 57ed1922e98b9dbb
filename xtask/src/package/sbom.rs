//! Bills of materials (CycloneDX), by cargo-cyclonedx: of the daemon, and of the BPF object inside it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Job, output, sums};
use crate::project::{self, quietly};

/// The tool writes a file of this name beside the Cargo.toml of every member of the workspace.
const WRITTEN: &str = "bill-of-materials";

/// The bills, of a crate for a target each.
pub(crate) fn make(job: &Job<'_>) -> Result<Vec<PathBuf>> {
    let directory = output("sbom")?;
    let mut bills = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    let ours = sums::name("prroute", job.architecture, "cdx.json");
    // The object is the same inside every program.
    let object = format!("prroute-ebpf-{version}.cdx.json");
    let wanted = [("prroute", job.target, ours), ("prroute-ebpf", super::BPF_TARGET, object)];
    for (package, target, name) in wanted {
        let written = write(job, package, target);
        let folders = members(job)?;
        let file = project::root().join(package).join(format!("{WRITTEN}.json"));
        let bill = written.and_then(|()| {
            fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
        });
        for folder in folders {
            match fs::remove_file(folder.join(format!("{WRITTEN}.json"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).context("remove a bill of materials");
                }
                _ => {}
            }
        }
        // Where the sources lie is nobody's business, and differs.
        let root = format!("file://{}", project::root().display());
        let bill = bill?.replace(&root, "file:///prroute");
        let place = directory.join(name);
        fs::write(&place, bill).with_context(|| format!("write {}", place.display()))?;
        bills.push(place);
    }
    Ok(bills)
}

fn write(job: &Job<'_>, package: &str, target: &str) -> Result<()> {
    let mut cargo = job.cargo();
    cargo
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps"])
        .args(["--override-filename", WRITTEN, "--target", target, "--manifest-path"])
        .arg(project::root().join(package).join("Cargo.toml"));
    quietly(&mut cargo).map(drop)
}

/// The folders of the workspace's members.
fn members(job: &Job<'_>) -> Result<Vec<PathBuf>> {
    let mut cargo = job.cargo();
    cargo.args(["metadata", "--format-version=1", "--locked", "--no-deps"]);
    let metadata: serde_json::Value = serde_json::from_slice(&quietly(&mut cargo)?)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let manifests = packages.iter().filter_map(|package| package["manifest_path"].as_str());
    Ok(manifests.map(|path| PathBuf::from(path).with_file_name("")).collect())
}
