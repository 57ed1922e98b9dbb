//! The rules that there are, and every one that is made or deleted.

use anyhow::Result;
use prroute_tests::addressing::Family;
use prroute_tests::lab::Lab;
use prroute_tests::process::Process;
use prroute_tests::wait;

use super::PATIENCE;

/// How many rules there are beside the kernel's, and lines with our protocol in rules and routes.
pub(crate) fn ours(lab: &Lab, family: Family) -> Result<(usize, usize)> {
    let option = family.option();
    let kernels = if family == Family::V4 { 3 } else { 2 };
    let rules = lab.host.ip(&format!("{option} -details rule show"))?;
    let routes = lab.host.ip(&format!("{option} route show table all"))?;
    let lines = rules.lines().chain(routes.lines());
    let tagged = lines.filter(|line| line.contains("proto 213")).count();
    Ok((rules.lines().count() - kernels, tagged))
}

/// Hears of every rule that is made or deleted on the host.
pub(crate) struct Rules(Process);

impl Rules {
    /// A route that concerns nobody, and is heard of in its turn.
    const MARK: &str = "blackhole 198.18.0.1";

    pub(crate) fn listen(lab: &Lab) -> Result<Self> {
        let mut monitor = lab.host.spawn(&["ip", "-ts", "monitor", "label", "rule", "route"])?;
        let mut marked = false;
        wait::until("ip monitor listens", PATIENCE, || {
            if marked {
                lab.host.ip(&format!("route del {}", Self::MARK))?;
            }
            lab.host.ip(&format!("route add {}", Self::MARK))?;
            marked = true;
            monitor.check_running()?;
            Ok(monitor.log().contains(Self::MARK).then_some(()))
        })?;
        Ok(Self(monitor))
    }

    /// The rules that it has heard of since it began to listen, and all that were made meanwhile.
    pub(crate) fn heard(&mut self, lab: &Lab) -> Result<Vec<String>> {
        lab.host.ip(&format!("route del {}", Self::MARK))?;
        let is_last = |log: &str| log.contains(&format!("Deleted {}", Self::MARK)).then_some(());
        self.0.wait_log("ip monitor has heard all", PATIENCE, is_last)?;
        let log = self.0.log();
        Ok(log.lines().filter(|line| line.contains("[RULE]")).map(str::to_owned).collect())
    }
}
