//! A /run without room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use prroute_tests::lab::Lab;
use prroute_tests::prroute::{Daemon, state};
use prroute_tests::wait;

use super::{JOURNAL, STRICT, rp_filter};

/// For a rule of a new address.
const SOON: Duration = Duration::from_secs(5);
/// For what waits until the file system has room again.
const LATER: Duration = Duration::from_secs(20);

/// A small file system in an instance's directory; unmounted on drop.
struct Small(PathBuf);

impl Small {
    fn mount(instance: &str) -> Result<Self> {
        let path = state(instance);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let options = Some("size=128k");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), options)
            .with_context(|| format!("mount on {}", path.display()))?;
        Ok(Self(path))
    }

    /// Takes all room that is left.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.0.join("fill")).context("create a file")?;
        loop {
            match file.write_all(&[0; 512]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("fill the file system"),
            }
        }
    }

    fn empty(&self) -> Result<()> {
        fs::remove_file(self.0.join("fill")).context("make room")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Err(errno) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("unmount {}: {errno}", self.0.display());
        }
        drop(fs::remove_dir(&self.0));
    }
}

fn warnings(daemon: &Daemon, file: &str) -> usize {
    let log = daemon.process.log();
    log.lines().filter(|line| line.contains("No space left") && line.contains(file)).count()
}

fn wait_for_rule(lab: &Lab, daemon: &Daemon, address: &str) -> Result<()> {
    let rule = format!("from {address} ");
    let found = wait::until(&format!("rules {rule}"), SOON, || {
        Ok(lab.host.ip("rule show")?.contains(&rule).then_some(()))
    });
    found.with_context(|| format!("{:?}:\n{}", lab.host.ip("rule show"), daemon.process.log()))
}

#[test]
fn without_room_addresses_get_their_rules_and_nothing_that_cannot_be_undone() -> Result<()> {
    let lab = Lab::build(STRICT)?;
    lab.host.ip("address flush dev up3")?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let small = Small::mount(prroute.name())?;
    let mut daemon = prroute.run(&[])?;
    small.fill()?;

    lab.host.ip("address add 203.0.113.77/32 dev lo")?;
    wait_for_rule(&lab, &daemon, "203.0.113.77")?;
    // Its old value is not on the disk: the filter of a new uplink stays as it is.
    lab.host.ip("address add 10.0.3.10/24 dev up3")?;
    wait_for_rule(&lab, &daemon, "10.0.3.0/24")?;
    ensure!(rp_filter(&lab, 3)? == "1", "{}", daemon.process.log());
    for file in ["journal.json", "report.json"] {
        let said = || Ok((warnings(&daemon, file) == 1).then_some(()));
        let waited = wait::until(&format!("one warning for {file}"), SOON, said);
        waited.with_context(|| daemon.process.log())?;
    }

    // Who starts while there is no room manages all the same.
    daemon.kill()?;
    daemon = prroute.run(&[])?;
    ensure!(rp_filter(&lab, 3)? == "1", "{}", daemon.process.log());
    small.empty()?;
    wait::until("a loose filter", LATER, || Ok((rp_filter(&lab, 3)? == "2").then_some(())))?;
    let path = small.0.join(JOURNAL);
    wait::until("the journal names up3", SOON, || {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(text.contains("\"up3\"").then_some(()))
    })?;
    let again = |daemon: &Daemon| daemon.process.log().matches("can be written again").count();
    let said =
        wait::until("both are written again", SOON, || Ok((again(&daemon) == 2).then_some(())));
    said.with_context(|| daemon.process.log())?;

    daemon.terminate()?;
    prroute.down()?;
    drop(small);
    ensure!(rp_filter(&lab, 3)? == "1", "restored");
    lab.host.ip("address del 203.0.113.77/32 dev lo")?;
    lab.host.ip("address flush dev up3")?;
    lab.expect_unchanged_since(&before)
}
