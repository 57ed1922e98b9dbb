//! contrib's role, by the real Ansible, on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing;
use prroute_tests::command;
use prroute_tests::lab::Lab;

use crate::configuration;
use crate::network::{PORT, TWO_UPLINKS, serve, silent, wait_for_answers};
use crate::package;
use crate::service::{Service, property};

const PLAYBOOK: &str = "../contrib/ansible/playbook.yaml";

/// The host of the inventory.
const HOST: &str = "[multihomed]\n\
                    guest ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n";

/// Emulated, each task takes many seconds.
const LONG: Duration = Duration::from_secs(600);

/// The playbook of contrib, for this lab.
struct Playbook {
    inventory: PathBuf,
    package: String,
}

impl Playbook {
    fn new(lab: &Lab) -> Result<Self> {
        let inventory = lab.scratch.write("hosts", HOST)?;
        Ok(Self { inventory, package: package::file()? })
    }

    /// Plays it; how many tasks changed something.
    fn play(&self, options: &[&str]) -> Result<u32> {
        let inventory = self.inventory.display().to_string();
        let package = format!("package={}", self.package);
        let private = format!("private={}", addressing::device(2));
        let words = ["ansible-playbook", "--inventory", &inventory, PLAYBOOK];
        let variables = ["--extra-vars", &package, "--extra-vars", &private];
        let mut ansible = command::command(&[&words[..], &variables, options].concat())?;
        let said = command::output_within(&mut ansible, LONG, "")?.success()?;
        println!("{said}");
        let recap = said.rsplit("PLAY RECAP").next().unwrap_or_default();
        let changed = recap.split_whitespace().find_map(|word| word.strip_prefix("changed="));
        changed.context("no recap")?.parse().context("parse the number of changes")
    }
}

/// The configuration that the playbook writes is gone, and the package is installed, when dropped.
struct Clean;

impl Drop for Clean {
    fn drop(&mut self) {
        // Only there when it was written.
        drop(std::fs::remove_file(configuration::PATH));
        if let Err(error) = package::leave_installed() {
            eprintln!("{error:#}");
        }
    }
}

#[test]
fn a_check_changes_nothing_a_play_sets_the_host_up_and_another_one_changes_nothing() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    package::purge()?;
    let _clean = Clean;
    let playbook = Playbook::new(&lab)?;
    let lost = silent(&lab, addressing::host)?;
    ensure!(!lost.is_empty(), "everything is answered without prroute");

    let would = playbook.play(&["--check", "--diff"])?;
    ensure!(would > 0, "nothing would change");
    ensure!(!Path::new("/usr/bin/prroute").exists(), "the check has installed prroute");
    ensure!(!Path::new(configuration::PATH).exists(), "the check has written the configuration");

    playbook.play(&[])?;
    let service = Service::install()?;
    ensure!(property("ActiveState")? == "active", "{}", property("ActiveState")?);
    ensure!(property("UnitFileState")? == "enabled", "{}", property("UnitFileState")?);
    wait_for_answers(&lab, &[PORT]).with_context(|| service.journal(&[]).unwrap_or_default())?;
    let route = lab.host.ip("route get 192.0.2.14")?;
    ensure!(route.contains(" dev up2 "), "{route}");

    let daemon = property("MainPID")?;
    let changed = playbook.play(&[])?;
    ensure!(changed == 0, "{changed} tasks changed something again");
    ensure!(property("MainPID")? == daemon, "the daemon was restarted");
    wait_for_answers(&lab, &[PORT])
}
