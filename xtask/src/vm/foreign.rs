//! The files of a guest whose architecture is not the machine's: Debian 12 with what the lab runs, unpacked
//! and not installed, since nothing of it can run here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::kernel;
use crate::apt::STABLE;
use crate::project::{self, quietly};
use crate::target::Architecture;

/// Beside Debian's essential packages: what the lab runs in cases that another kernel can break.
const PACKAGES: [&str; 28] = [
    "base-passwd",
    "bind9-dnsutils",
    "busybox-static",
    "conntrack",
    "curl",
    "dnsmasq-base",
    "ethtool",
    "fping",
    "iproute2",
    "iptables",
    "iputils-ping",
    "isc-dhcp-client",
    "keepalived",
    "kmod",
    "libteam-utils",
    "mount",
    "netcat-openbsd",
    "nftables",
    "nginx-light",
    "passwd",
    "ppp",
    "procps",
    "python3-minimal",
    "radvd",
    "tcpdump",
    "tshark",
    "util-linux",
    "wireguard-tools",
];

/// What the scripts of the packages would have done, as far as somebody in the guest looks at it.
const SET_UP: &str = r#"for name in passwd group; do
    cp "$1/usr/share/base-passwd/$name.master" "$1/etc/$name"
done"#;

/// Nobody reads them in a guest.
const LEFT_OUT: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

/// The directory, made unless one of this recipe is there.
pub(crate) fn files(architecture: Architecture) -> Result<PathBuf> {
    let directory = kernel::directory();
    let tree = directory.join(format!("files-{}", architecture.debian()));
    let recipe = directory.join(format!("files-{}.recipe", architecture.debian()));
    let wanted = self::recipe(architecture).join("\n");
    if tree.is_dir() && fs::read_to_string(&recipe).is_ok_and(|made| made == wanted) {
        return Ok(tree);
    }
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    eprintln!("the guest's files are unpacked from Debian packages once, which takes a minute");
    project::remove(&tree)?;
    quietly(Command::new("mmdebstrap").args(self::recipe(architecture)).arg(&tree))?;
    // Where the project lies on this machine, it lies in the guest.
    let root = tree.join(relative(project::root()));
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    fs::write(&recipe, wanted).with_context(|| format!("write {}", recipe.display()))?;
    Ok(tree)
}

fn recipe(architecture: Architecture) -> Vec<String> {
    let mut words = vec![
        "--quiet".to_owned(),
        "--mode=root".to_owned(),
        "--variant=extract".to_owned(),
        "--format=directory".to_owned(),
        format!("--architectures={}", architecture.debian()),
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr".to_owned(),
        // The shell and the like: `extract` unpacks only what is named. A pattern takes all of its option.
        "--include=?essential".to_owned(),
        format!("--include={}", PACKAGES.join(",")),
    ];
    words.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    words.push(format!("--extract-hook={SET_UP}"));
    words.push(STABLE.to_owned());
    words
}

/// A path from the root directory on.
pub(crate) fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::recipe;
    use crate::target::Architecture;

    #[test]
    fn nothing_of_the_packages_is_run() {
        assert!(recipe(Architecture::Arm64).contains(&"--variant=extract".to_owned()));
    }
}
