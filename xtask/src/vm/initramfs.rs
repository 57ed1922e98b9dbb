//! A guest's first file system: busybox, the modules that lead to the next one, and what it
//! shall run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use super::kernel::Files;
use crate::project;
use crate::project::quietly;

/// What the first file system is for.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// The first process: a script.
    pub(crate) init: &'a str,
    /// `None`: the machine's.
    pub(crate) busybox: Option<PathBuf>,
    /// What is built in on one kernel may be a module on the other.
    pub(crate) modules: &'a [&'a str],
    /// Directories that file systems are mounted on.
    pub(crate) mount_points: &'a [&'a str],
    /// Files for the directory `guest`.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

/// The archive for this kernel.
pub(crate) fn build(kernel: &Files, content: &Content<'_>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "modules", "guest"].iter().chain(content.mount_points) {
        archive.directory(directory);
    }
    let busybox = match &content.busybox {
        Some(busybox) => busybox.clone(),
        None => project::find_program("busybox").context("busybox is not installed")?,
    };
    archive.file("bin/busybox", &read(&busybox)?);
    archive.file("init", content.init.as_bytes());
    for (name, text) in content.files {
        archive.file(&format!("guest/{name}"), text.as_bytes());
    }
    let mut order = String::new();
    for path in modules(kernel, content.modules)? {
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

/// A script that sets and exports variables.
pub(crate) fn environment(variables: &[(&str, String)]) -> String {
    let export = |(name, value): &(&str, String)| {
        format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
    };
    variables.iter().map(export).collect()
}

/// The files of `wanted` and of what they depend on, in the order in which they are loaded.
fn modules(kernel: &Files, wanted: &[&str]) -> Result<Vec<String>> {
    let base = kernel.modules.parent().and_then(Path::parent).unwrap_or(&kernel.modules);
    let mut paths: Vec<String> = Vec::new();
    // One by one: `--all --show-depends` leaves dependencies out.
    for module in wanted {
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
