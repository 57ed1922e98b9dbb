//! The programs each task needs, and the Debian packages that bring them.
//!
//! A need is a program, not a package: whoever has docker from elsewhere keeps it.

use crate::project;

/// What is about to be done; each contains what stands before it, but `Package`, `Book` and `Cross` only
/// `Build`, and `VmCross` all but `Package` and `Book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Build,
    Demo,
    Bench,
    Test,
    Vm,
    Package,
    Book,
    /// Code for another architecture.
    Cross,
    /// Guests of another architecture.
    VmCross,
}

impl Scope {
    /// The command that asked, for messages.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Build => "cargo xtask build",
            Self::Demo => "cargo xtask demo",
            Self::Bench => "cargo xtask bench",
            Self::Test => "cargo xtask test",
            Self::Vm => "cargo xtask vm",
            Self::Package => "cargo xtask package",
            Self::Book => "cargo xtask book",
            Self::Cross => "cargo xtask build --target",
            Self::VmCross => "cargo xtask vm --arch",
        }
    }

    /// Whether this needs all that `other` needs.
    pub(crate) fn contains(self, other: Self) -> bool {
        match (self, other) {
            (Self::Package | Self::Book | Self::Cross, other) => {
                other == Self::Build || other == self
            }
            (Self::VmCross, other) => ![Self::Package, Self::Book].contains(&other),
            (scope, other) => other <= scope,
        }
    }
}

/// A program of the system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// The smallest scope that uses it.
    pub(crate) scope: Scope,
    pub(crate) program: &'static str,
    /// The Debian package it comes in.
    pub(crate) package: &'static str,
    /// Services that the package would start, and that no task wants.
    pub(crate) services: &'static [&'static str],
}

const fn need(scope: Scope, program: &'static str, package: &'static str) -> Need {
    Need { scope, program, package, services: &[] }
}

const NEEDS: &[Need] = &[
    need(Scope::Build, "cc", "gcc"),
    need(Scope::Demo, "ip", "iproute2"),
    need(Scope::Demo, "nsenter", "util-linux"),
    need(Scope::Demo, "setpriv", "util-linux"),
    need(Scope::Demo, "mount", "mount"),
    need(Scope::Demo, "sysctl", "procps"),
    need(Scope::Demo, "nft", "nftables"),
    need(Scope::Demo, "ping", "iputils-ping"),
    need(Scope::Demo, "curl", "curl"),
    need(Scope::Demo, "dig", "bind9-dnsutils"),
    need(Scope::Demo, "dnsmasq", "dnsmasq-base"),
    Need { services: &["nginx.service"], ..need(Scope::Demo, "nginx", "nginx") },
    // The demo asks a container, too.
    Need {
        services: &["docker.service", "docker.socket", "containerd.service"],
        ..need(Scope::Demo, "dockerd", "docker.io")
    },
    need(Scope::Demo, "docker", "docker.io"),
    need(Scope::Demo, "iptables-nft", "iptables"),
    need(Scope::Demo, "busybox", "busybox-static"),
    need(Scope::Bench, "iptables-legacy", "iptables"),
    need(Scope::Test, "fping", "fping"),
    need(Scope::Test, "tcpdump", "tcpdump"),
    need(Scope::Test, "tshark", "tshark"),
    need(Scope::Test, "dhclient", "isc-dhcp-client"),
    Need { services: &["radvd.service"], ..need(Scope::Test, "radvd", "radvd") },
    Need { services: &["keepalived.service"], ..need(Scope::Test, "keepalived", "keepalived") },
    Need { services: &["bird.service"], ..need(Scope::Test, "bird", "bird2") },
    Need { services: &["puppet.service"], ..need(Scope::Test, "puppet", "puppet-agent") },
    need(Scope::Test, "systemd-analyze", "systemd"),
    need(Scope::Test, "python3", "python3"),
    need(Scope::Test, "bpftool", "bpftool"),
    need(Scope::Test, "zsh", "zsh"),
    need(Scope::Test, "fish", "fish"),
    Need { services: &["memcached.service"], ..need(Scope::Test, "memcached", "memcached") },
    Need { services: &["tftpd-hpa.service"], ..need(Scope::Test, "in.tftpd", "tftpd-hpa") },
    Need { services: &["prometheus.service"], ..need(Scope::Test, "prometheus", "prometheus") },
    Need {
        services: &["prometheus-node-exporter.service"],
        ..need(Scope::Test, "prometheus-node-exporter", "prometheus-node-exporter")
    },
    need(Scope::Test, "shellcheck", "shellcheck"),
    need(Scope::Test, "mandoc", "mandoc"),
    need(Scope::Test, "man", "man-db"),
    // The package that guests install is compared with its program.
    need(Scope::Vm, "readelf", "binutils"),
    need(Scope::Vm, "qemu-system-x86_64", "qemu-system-x86"),
    need(Scope::Vm, "modprobe", "kmod"),
    need(Scope::Vm, "xz", "xz-utils"),
    need(Scope::Vm, "mmdebstrap", "mmdebstrap"),
    need(Scope::Vm, "mkfs.ext4", "e2fsprogs"),
    need(Scope::Vm, "wg", "wireguard-tools"),
    need(Scope::Vm, "pppd", "ppp"),
    need(Scope::Vm, "teamd", "libteam-utils"),
    need(Scope::Cross, "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    // Files, not programs: nothing in the path has their names, and they are looked for where they are.
    need(Scope::Cross, "/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
    need(Scope::Cross, "/usr/bin/rustc", "rustc-web"),
    need(Scope::VmCross, "qemu-system-aarch64", "qemu-system-arm"),
    need(Scope::VmCross, "qemu-aarch64-static", "qemu-user-static"),
    need(Scope::Package, "readelf", "binutils"),
    need(Scope::Package, "xz", "xz-utils"),
    need(Scope::Package, "lintian", "lintian"),
    need(Scope::Package, "rpmlint", "rpmlint"),
    // rpmlint reads packages with it, and the package's scripts are checked by it.
    need(Scope::Package, "rpm", "rpm"),
];

/// The needs of `scope` that the search path does not meet.
pub(crate) fn missing(scope: Scope) -> Vec<&'static Need> {
    unmet(scope, |program| project::find_program(program).is_some())
}

fn unmet(scope: Scope, present: impl Fn(&str) -> bool) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| scope.contains(need.scope) && !present(need.program)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Scope, unmet};

    #[test]
    fn each_scope_contains_the_smaller_ones_and_no_more_than_it_uses() {
        let of = |scope| unmet(scope, |_| false).iter().map(|n| n.package).collect::<Vec<_>>();
        assert_eq!(of(Scope::Build), ["gcc"]);
        assert!(of(Scope::Demo).starts_with(&of(Scope::Build)));
        assert!(of(Scope::Bench).starts_with(&of(Scope::Demo)));
        assert!(of(Scope::Test).starts_with(&of(Scope::Bench)));
        assert!(!of(Scope::Bench).contains(&"tcpdump"));
        assert!(of(Scope::Test).contains(&"tcpdump"));
        assert!(!of(Scope::Test).contains(&"qemu-system-x86"));
        assert!(of(Scope::Vm).starts_with(&of(Scope::Test)));
        assert!(of(Scope::Package).starts_with(&of(Scope::Build)));
        assert!(!of(Scope::Package).contains(&"qemu-system-x86"));
        assert!(!of(Scope::Vm).contains(&"lintian"));
        assert!(of(Scope::VmCross).contains(&"libc6-dev-arm64-cross"));
        assert!(!of(Scope::Vm).contains(&"gcc-aarch64-linux-gnu"));
        assert!(!of(Scope::Cross).contains(&"iproute2"));
        assert!(!of(Scope::VmCross).contains(&"lintian"));
    }

    #[test]
    fn a_program_that_is_there_needs_no_package() {
        assert!(unmet(Scope::Vm, |_| true).is_empty());
    }
}
