//! Programs that are known by what they leave: processes, interfaces, rules, files.

use std::collections::BTreeSet;
use std::fs;

use crate::managers::Machine;
use crate::state::observed::{Observed, Rule};

/// A program that manages a part of the network.
#[derive(Debug)]
pub struct Known {
    pub id: &'static str,
    pub name: &'static str,
    /// The first 15 characters of its processes' names.
    processes: &'static [&'static str],
    /// How the names of its interfaces begin.
    interfaces: &'static [&'static str],
    files: &'static [&'static str],
    rules: fn(&Rule) -> bool,
    /// What to know of it: what comes behind the name in a sentence.
    pub what: &'static str,
}

const NO_RULES: fn(&Rule) -> bool = |_| false;

const NOBODY: Known = Known {
    id: "",
    name: "",
    processes: &[],
    interfaces: &[],
    files: &[],
    rules: NO_RULES,
    what: "",
};

pub const NETWORKD: &str = "systemd-networkd";

/// All that are known.
pub const KNOWN: [Known; 14] = [
    Known {
        id: NETWORKD,
        name: "systemd-networkd",
        processes: &["systemd-network"],
        what: "is told to leave rules and routes that it did not make",
        ..NOBODY
    },
    Known {
        id: "network-manager",
        name: "NetworkManager",
        processes: &["NetworkManager"],
        what: "takes the routes of a connection away with it; prroute follows",
        ..NOBODY
    },
    Known {
        id: "cloud-init",
        name: "cloud-init",
        files: &["/run/cloud-init/instance-data.json", "/etc/netplan/50-cloud-init.yaml"],
        what: "writes the network's configuration at boot: addresses and gateways are its to change",
        ..NOBODY
    },
    Known {
        id: "ec2-net-utils",
        name: "amazon-ec2-net-utils",
        files: &["/usr/bin/setup-policy-routes", "/usr/sbin/ec2ifup"],
        what: "makes rules for each interface's addresses from priority 10000 on: prroute adds none for those",
        ..NOBODY
    },
    Known {
        id: "nm-cloud-setup",
        name: "nm-cloud-setup",
        files: &["/etc/systemd/system/multi-user.target.wants/nm-cloud-setup.service"],
        rules: |rule| matches!(rule.priority, 30_200 | 30_350 | 30_400) && rule.source.is_some(),
        what: "makes rules for secondary addresses, which prroute's stand before",
        ..NOBODY
    },
    Known {
        id: "docker",
        name: "Docker",
        processes: &["dockerd"],
        interfaces: &["docker0"],
        what: "publishes ports by translating addresses: the replies of containers are moved by the \
               programs, and need ip_forward",
        ..NOBODY
    },
    Known {
        id: "firewalld",
        name: "firewalld",
        processes: &["firewalld"],
        what: "sees a reply that prroute moves in the zone of the uplink that routing chose",
        ..NOBODY
    },
    Known {
        id: "ufw",
        name: "ufw",
        what: "sees a reply that prroute moves as one that leaves by the uplink that routing chose",
        ..NOBODY
    },
    Known {
        id: "tailscale",
        name: "Tailscale",
        processes: &["tailscaled"],
        interfaces: &["tailscale"],
        rules: |rule| rule.table == 52 || (5210..=5270).contains(&rule.priority),
        what: "has rules at priorities 5210 to 5270 and puts them back; its interface is no uplink",
        ..NOBODY
    },
    Known {
        id: "netbird",
        name: "NetBird",
        processes: &["netbird"],
        interfaces: &["wt0"],
        rules: |rule| rule.table == 7120,
        what: "has rules at priorities 100 to 110 and table 7120; its interface is no uplink",
        ..NOBODY
    },
    Known {
        id: "calico",
        name: "Calico",
        processes: &["calico-node"],
        interfaces: &["cali", "vxlan.calico"],
        what: "routes to its pods by interfaces of its own: replies of pods are moved by the programs",
        ..NOBODY
    },
    Known {
        id: "cilium",
        name: "Cilium",
        processes: &["cilium-agent"],
        interfaces: &["cilium_host", "lxc_health"],
        what: "attaches programs of its own to uplinks: prroute's have to come before them",
        ..NOBODY
    },
    Known {
        id: "kube-proxy",
        name: "kube-proxy",
        processes: &["kube-proxy"],
        interfaces: &["kube-ipvs0"],
        what: "publishes services by translating addresses: the programs move what answers",
        ..NOBODY
    },
    Known {
        id: "keepalived",
        name: "keepalived",
        processes: &["keepalived"],
        what: "moves addresses between hosts; prroute follows when one comes or goes",
        ..NOBODY
    },
];

/// Those that are here.
pub fn recognised(machine: &Machine, observed: &Observed) -> Vec<&'static Known> {
    let processes = machine.processes();
    KNOWN.iter().filter(|known| is_here(known, machine, observed, &processes)).collect()
}

fn is_here(
    known: &Known,
    machine: &Machine,
    observed: &Observed,
    processes: &BTreeSet<String>,
) -> bool {
    let begins = |name: &str| known.interfaces.iter().any(|begin| name.starts_with(begin));
    known.processes.iter().any(|name| processes.contains(*name))
        || observed.links.iter().any(|link| begins(&link.name))
        || known.files.iter().any(|file| machine.path(file).exists())
        || observed.rules.iter().any(known.rules)
        || (known.id == "ufw" && machine.has_ufw())
}

impl Machine {
    /// The names of processes in this process's network namespace.
    fn processes(&self) -> BTreeSet<String> {
        let namespace =
            |process: &str| fs::read_link(self.path("/proc").join(process).join("ns/net")).ok();
        let here = namespace("self");
        let entries = fs::read_dir(self.path("/proc")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let its = namespace(&entry.file_name().to_string_lossy());
            (its == here).then(|| name.trim_end().to_owned())
        });
        names.collect()
    }

    /// ufw leaves no process: its configuration says whether it is in force.
    fn has_ufw(&self) -> bool {
        let text = fs::read_to_string(self.path("/etc/ufw/ufw.conf")).unwrap_or_default();
        text.lines().any(|line| line.trim() == "ENABLED=yes")
    }
}
