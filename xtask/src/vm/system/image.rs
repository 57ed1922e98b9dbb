//! The disk of a guest that boots systemd: Debian 12 with the programs that manage networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::kernel;
use crate::project::{self, quietly};

/// Beside systemd and Debian's essential packages: what the cases run beside prroute, and what
/// the lab needs.
const PACKAGES: [&str; 33] = [
    "apt",
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "procps",
    "iproute2",
    "iputils-ping",
    "fping",
    "nftables",
    "iptables",
    "wireguard-tools",
    "network-manager",
    "firewalld",
    "ifupdown",
    "isc-dhcp-client",
    "dnsmasq-base",
    "radvd",
    "curl",
    "cloud-init",
    "netplan.io",
    "ufw",
    "docker.io",
    "apparmor",
    "podman",
    "netavark",
    "crun",
    "busybox",
    "socat",
    "ansible-core",
    "python3-apt",
    "amazon-ec2-net-utils",
];

/// What happens to the directory tree `$1` after the packages were installed: no service starts
/// by itself, and what the guest mounts has its place.
const SET_UP: [&str; 4] = [
    r#"mkdir -p "$1/etc/systemd/system-preset" "$1/usr/lib/modules" "$1/host""#,
    r#"echo "disable *" > "$1/etc/systemd/system-preset/00-nothing.preset""#,
    r#"systemctl --root="$1" --quiet preset-all"#,
    r#"echo guest > "$1/etc/hostname" && systemd-machine-id-setup --root="$1""#,
];

/// Nobody reads them in a guest.
const LEFT_OUT: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

const RELEASE: &str = "bookworm";

/// Far more than it needs: the file has holes.
const SIZE: &str = "4G";

/// The image, made unless one of this recipe is there. Nobody may write to it.
pub(crate) fn get() -> Result<PathBuf> {
    let directory = kernel::directory();
    let image = directory.join("system.ext4");
    let recipe = directory.join("system.recipe");
    let wanted = self::recipe().join("\n");
    if image.is_file() && fs::read_to_string(&recipe).is_ok_and(|made| made == wanted) {
        return Ok(image);
    }
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    eprintln!("the guest's disk is made from Debian packages once, which takes some minutes");
    make(&directory, &image)?;
    fs::write(&recipe, wanted).with_context(|| format!("write {}", recipe.display()))?;
    Ok(image)
}

/// A copy of `image` that a guest may write to.
pub(crate) fn copy(image: &Path, copy: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    quietly(cp.args(["--reflink=auto", "--sparse=always"]).arg(image).arg(copy)).map(drop)
}

fn recipe() -> Vec<String> {
    let mut words = vec![
        "--quiet".to_owned(),
        "--mode=root".to_owned(),
        "--variant=essential".to_owned(),
        "--format=directory".to_owned(),
        format!("--include={}", PACKAGES.join(",")),
    ];
    words.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    words.extend(SET_UP.iter().map(|command| format!("--customize-hook={command}")));
    words.push(RELEASE.to_owned());
    words
}

fn make(directory: &Path, image: &Path) -> Result<()> {
    let tree = directory.join("system.tree");
    project::remove(&tree)?;
    quietly(Command::new("mmdebstrap").args(recipe()).arg(&tree))?;
    let unfinished = image.with_extension("unfinished");
    // It would take what is there for the file system's size.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", unfinished.display()));
        }
        _ => {}
    }
    let mut mkfs = Command::new("mkfs.ext4");
    quietly(mkfs.arg("-q").arg("-d").arg(&tree).arg(&unfinished).arg(SIZE))?;
    project::remove(&tree)?;
    fs::rename(&unfinished, image).with_context(|| format!("rename to {}", image.display()))
}

#[cfg(test)]
mod tests {
    use super::recipe;

    #[test]
    fn no_service_of_the_packages_starts_by_itself() {
        let recipe = recipe();
        let at = |part: &str| recipe.iter().position(|word| word.contains(part)).unwrap();
        assert!(at("disable *") < at("preset-all"));
        assert_eq!(recipe.last().unwrap(), "bookworm");
    }
}
