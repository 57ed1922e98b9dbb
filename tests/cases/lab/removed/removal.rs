//! The ways in which others remove what is ours.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf;
use prroute_tests::lab::Lab;
use prroute_tests::prroute::{self, Instance};

/// One way, and what the daemon's log says of it.
pub(crate) struct Removal {
    pub(crate) name: &'static str,
    pub(crate) said: &'static str,
    pub(crate) remove: fn(&Lab, &Instance<'_>) -> Result<()>,
}

/// Of either hook.
pub(crate) const ANY: [Removal; 6] = [
    Removal {
        name: "a map's pin",
        said: "pin FLOWS4 in ",
        remove: |_, prroute| unpin(prroute, names::FLOWS4),
    },
    Removal { name: "every pin", said: " pins in ", remove: |_, prroute| unpin_all(prroute) },
    Removal {
        name: "a program for wildcard UDP servers",
        said: "the programs for wildcard UDP servers",
        remove: |_, prroute| detach(prroute, "socket-sendmsg4"),
    },
    Removal {
        name: "a neighbour entry",
        said: "1 neighbour entries of gateways",
        remove: |lab, _| {
            let gateway = addressing::gateway(2, Family::V4);
            lab.host.ip(&format!("neigh del {gateway} dev up2")).map(drop)
        },
    },
    Removal {
        name: "a route",
        said: " 1 routes",
        remove: |lab, _| lab.host.ip("route del default table 21002").map(drop),
    },
    Removal {
        name: "the rules",
        said: " rules and",
        remove: |lab, _| {
            lab.host.ip("-4 rule flush protocol 213")?;
            lab.host.ip("-6 rule flush protocol 213").map(drop)
        },
    },
];

pub(crate) const TCX: [Removal; 4] = [
    Removal {
        name: "an egress link",
        said: "up2: tcx link of egress",
        remove: |_, prroute| detach(prroute, "link-2-egress"),
    },
    Removal {
        name: "both links",
        said: "up2: tcx link of ingress and egress",
        remove: |_, prroute| {
            detach(prroute, "link-2-ingress")?;
            detach(prroute, "link-2-egress")
        },
    },
    Removal {
        name: "a link's pin",
        said: "pin link-2-ingress in ",
        remove: |_, prroute| unpin(prroute, "link-2-ingress"),
    },
    Removal {
        name: "the program behind a link",
        said: "up2: tcx link of egress",
        remove: |_, prroute| bpf::replace_pinned(&pin(prroute, "link-2-egress")),
    },
];

pub(crate) const CLSACT: [Removal; 4] = [
    Removal {
        name: "the qdisc",
        said: "up2: clsact filter of ingress and egress",
        remove: |lab, _| tc(lab, "qdisc del dev up2 clsact"),
    },
    Removal {
        name: "a filter",
        said: "up2: clsact filter of egress",
        remove: |lab, _| tc(lab, "filter del dev up2 egress pref 1 handle 0x7072 protocol all bpf"),
    },
    Removal {
        name: "all filters of a hook",
        said: "up2: clsact filter of ingress",
        remove: |lab, _| tc(lab, "filter del dev up2 ingress"),
    },
    Removal {
        name: "the program behind a filter",
        said: "up2: clsact filter of egress",
        remove: |lab, _| {
            let place = "filter replace dev up2 egress pref 1 handle 0x7072 protocol all";
            let line = format!("{place} bpf da bytecode");
            let words: Vec<&str> = line.split(' ').collect();
            lab.host.run(&[&["tc"], &words[..], &["1,6 0 0 4294967295"]].concat()).map(drop)
        },
    },
];

fn tc(lab: &Lab, line: &str) -> Result<()> {
    let words: Vec<&str> = std::iter::once("tc").chain(line.split(' ')).collect();
    lab.host.run(&words).map(drop)
}

pub(crate) fn pin(prroute: &Instance<'_>, name: &str) -> PathBuf {
    prroute::pins(prroute.name()).join(format!("v{LAYOUT_VERSION}")).join(name)
}

fn detach(prroute: &Instance<'_>, name: &str) -> Result<()> {
    bpf::detach_pinned(&pin(prroute, name))
}

pub(crate) fn unpin(prroute: &Instance<'_>, name: &str) -> Result<()> {
    let path = pin(prroute, name);
    fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
}

pub(crate) fn unpin_all(prroute: &Instance<'_>) -> Result<()> {
    let path = prroute::pins(prroute.name());
    fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))
}
