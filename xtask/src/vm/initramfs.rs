//! The guest's first file system: busybox, the modules that lead to the host's files, and what
//! it shall run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use super::kernel::{Files, quietly};
use crate::project;

const INIT: &str = include_str!("init.sh");
const GUEST: &str = include_str!("guest.sh");

/// What is built in on one kernel may be a module on the other.
const MODULES: [&str; 5] = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];

/// The archive for this kernel, with `environment` (a shell script that sets variables) and
/// `cases` (a line each: name, program, arguments).
pub(crate) fn build(kernel: &Files, environment: &str, cases: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "host", "memory", "root", "modules", "guest"] {
        archive.directory(directory);
    }
    let busybox = project::find_program("busybox").context("busybox is not installed")?;
    archive.file("bin/busybox", &read(&busybox)?);
    archive.file("init", INIT.as_bytes());
    archive.file("guest/guest.sh", GUEST.as_bytes());
    archive.file("guest/environment", environment.as_bytes());
    archive.file("guest/cases", cases.as_bytes());
    let mut order = String::new();
    for path in modules(kernel)? {
        let path = Path::new(&path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (name, content) = match name.strip_suffix(".xz") {
            Some(name) => {
                let mut xz = Command::new("xz");
                (name.to_owned(), quietly(xz.args(["--decompress", "--stdout"]).arg(path))?)
            }
            None => (name, read(path)?),
        };
        archive.file(&format!("modules/{name}"), &content);
        order += &format!("{name}\n");
    }
    archive.file("modules/order", order.as_bytes());
    Ok(archive.finish())
}

/// The files of [`MODULES`] and of what they depend on, in the order in which they are loaded.
fn modules(kernel: &Files) -> Result<Vec<String>> {
    let base = kernel.modules.parent().and_then(Path::parent).unwrap_or(&kernel.modules);
    let mut paths: Vec<String> = Vec::new();
    // One by one: `--all --show-depends` leaves dependencies out.
    for module in MODULES {
        let mut modprobe = Command::new("modprobe");
        modprobe.arg("--dirname").arg(base).args(["--set-version", &kernel.release]);
        let listing = quietly(modprobe.args(["--show-depends", module]))?;
        for path in insmod_lines(&String::from_utf8_lossy(&listing)) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    ensure!(!paths.is_empty(), "{} lists no modules", base.display());
    Ok(paths)
}

/// The paths in lines like `insmod /lib/modules/6.1/x.ko option=1`; others are `builtin x`.
fn insmod_lines(listing: &str) -> Vec<String> {
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&"insmod"))
        .filter_map(|words| words.get(1).map(|path| (*path).to_owned()))
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::insmod_lines;

    #[test]
    fn modules_are_loaded_and_builtin_ones_are_not() {
        let listing = "insmod /m/virtio.ko \ninsmod /m/pci.ko.xz quirk=1\nbuiltin console\n";
        assert_eq!(insmod_lines(listing), ["/m/virtio.ko", "/m/pci.ko.xz"]);
    }
}
