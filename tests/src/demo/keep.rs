//! A lab that stays: how to look inside, and how to remove it.

use anyhow::Result;

use crate::addressing::Family;
use crate::lab::Lab;
use crate::netns::Namespace;
use crate::{addressing, prroute};

/// Writes the script that removes the lab.
pub(super) fn write_removal(lab: &Lab) -> Result<()> {
    let name = lab.name();
    let host = lab.host.path();
    let scratch = lab.scratch.path().display();
    let namespaces: Vec<&str> = lab.namespaces().map(Namespace::name).collect();
    let namespaces = namespaces.join(" ");
    let script = format!(
        "#!/bin/sh
# Removes the lab {name}.
nsenter --net={host} -- {binary} down --instance {name}
docker --host=unix://{scratch}/docker.sock rm --force web dns
if [ -e {scratch}/docker.pid ]; then
    kill \"$(cat {scratch}/docker.pid)\"
    while [ -e {scratch}/docker.pid ]; do sleep 0.1; done
fi
for namespace in {namespaces}; do
    ip netns pids \"$namespace\" | xargs -r kill
    ip netns del \"$namespace\"
done
find /sys/fs/cgroup -depth -type d -path '*/{name}*' -exec rmdir {{}} +
rm -rf {scratch}
",
        host = host.display(),
        binary = prroute::binary()?.display(),
    );
    lab.scratch.write("remove.sh", &script).map(drop)
}

/// Prints what a reader can do with the lab.
pub(super) fn explain(lab: &Lab) {
    let host = lab.host.path();
    let client = lab.client.path();
    let source = addressing::client(2, Family::V4);
    let shared = addressing::shared(Family::V4);
    println!("\nThe lab is still there.");
    println!("  on the host:   nsenter --net={} ip rule", host.display());
    println!("  ask again:     nsenter --net={} ping -I {source} {shared}", client.display());
    println!("  remove it all: sh {}/remove.sh", lab.scratch.path().display());
}
