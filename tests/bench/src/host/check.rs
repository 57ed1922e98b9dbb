//! That a host is what its name says, before and after it is measured.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::netns::Namespace;

use super::Host;

/// `rp_filter = 2` (loose): what most hosts with several uplinks have. With 0 the kernel looks
/// nothing up for the source of a packet that comes in, which flatters hosts without rules.
const LOOSE: &str = "2";

const INTERFACES: &str = "/proc/sys/net/ipv4/conf";

/// Sets it on every interface that is there, and for those to come.
pub(crate) fn loosen_reverse_path_filter(namespace: &Namespace) -> Result<()> {
    of_interfaces(namespace, |path| {
        fs::write(path, LOOSE).with_context(|| format!("write {LOOSE} to {path}"))
    })
}

fn of_interfaces(namespace: &Namespace, task: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    namespace.inside(|| {
        for entry in fs::read_dir(INTERFACES).with_context(|| format!("list {INTERFACES}"))? {
            let name = entry.with_context(|| format!("list {INTERFACES}"))?.file_name();
            task(&format!("{INTERFACES}/{}/rp_filter", name.display()))?;
        }
        Ok(())
    })
}

/// Nobody has changed it.
pub(crate) fn check_reverse_path_filter(namespace: &Namespace) -> Result<()> {
    of_interfaces(namespace, |path| {
        let value = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        ensure!(value.trim() == LOOSE, "somebody wrote {} to {path}", value.trim());
        Ok(())
    })
}

/// There are the kernel's own rules and no others.
pub(crate) fn check_without_rules(namespace: &Namespace) -> Result<()> {
    for (family, kernels) in
        [(Family::V4, &["local", "main", "default"][..]), (Family::V6, &["local", "main"])]
    {
        let rules = namespace.ip(&format!("{} rule show", family.option()))?;
        let tables: Vec<&str> = rules
            .lines()
            .filter_map(|rule| rule.split_once("from all lookup "))
            .map(|(_, table)| table.trim())
            .collect();
        ensure!(
            tables == kernels && rules.lines().count() == kernels.len(),
            "rules on a host that is to have none but the kernel's:\n{rules}"
        );
    }
    Ok(())
}

/// Packets that left a host, by uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    up1: u64,
    up2: u64,
}

/// Which uplink a workload's packets are to leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Up1,
    Up2,
}

impl Left {
    /// Nearly all that left since `earlier` left by the expected uplink. The rest is address
    /// resolution and the like.
    pub(crate) fn check(self, earlier: Self, expected: Expected) -> Result<()> {
        let (up1, up2) = (self.up1 - earlier.up1, self.up2 - earlier.up2);
        let (right, wrong) = match expected {
            Expected::Up1 => (up1, up2),
            Expected::Up2 => (up2, up1),
        };
        ensure!(
            right > 0 && wrong <= 100 + right / 100,
            "{up1} packets left by up1 and {up2} by up2: all were to leave by {}",
            match expected {
                Expected::Up1 => "up1",
                Expected::Up2 => "up2",
            }
        );
        Ok(())
    }
}

impl Host {
    /// The sysctls are the bench's, and no rule is where none may be.
    pub(crate) fn check(&self) -> Result<()> {
        check_reverse_path_filter(&self.host)?;
        if self.variant.is_without_rules() { check_without_rules(&self.host) } else { Ok(()) }
    }

    /// What has left the host so far: what came in at its peer.
    pub(crate) fn left(&self) -> Result<Left> {
        // /proc/net belongs to the process, not to the thread.
        const DEVICES: &str = "/proc/thread-self/net/dev";
        let text = self
            .peer
            .inside(|| fs::read_to_string(DEVICES).with_context(|| format!("read {DEVICES}")))?;
        let received = |device: &str| -> Result<u64> {
            let fields = text.lines().find_map(|line| line.trim().strip_prefix(device));
            let packets = fields.and_then(|fields| fields.split_whitespace().nth(1));
            let packets = packets.with_context(|| format!("no {device} in {text}"))?;
            packets.parse().with_context(|| format!("packets of {device}"))
        };
        Ok(Left { up1: received("w1:")?, up2: received("w2:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Left};

    #[test]
    fn replies_that_leave_by_the_wrong_uplink_are_noticed() {
        let before = Left { up1: 50, up2: 7 };
        let after = Left { up1: 60, up2: 5007 };
        after.check(before, Expected::Up2).unwrap();
        let error = after.check(before, Expected::Up1).unwrap_err();
        assert!(error.to_string().starts_with("10 packets left by up1 and 5000 by up2"), "{error}");
        let nothing = before.check(before, Expected::Up2);
        assert!(nothing.is_err());
    }
}
