//! systemd-networkd configures the uplinks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::{command, wait};

use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{JOB, Service, systemctl};

const FILES: &str = "/run/systemd/network";
/// What `prroute setup networkd` writes.
const DROP_IN: &str = "/etc/systemd/networkd.conf.d/50-prroute.conf";

const SETTINGS: &str = "/run/systemd/networkd.conf.d";

/// systemd-networkd with the uplinks' addresses, stopped when dropped.
pub(crate) struct Manager;

impl Manager {
    /// With the addresses that the lab gave the uplinks.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(|n| {
            let mut text = "IPv6AcceptRA=no\n".to_owned();
            for family in Family::BOTH {
                let (address, length) =
                    (addressing::host(n, family), addressing::prefix_length(family));
                text += &format!("Address={address}/{length}\n");
            }
            for family in Family::BOTH {
                let (gateway, metric) = (addressing::gateway(n, family), 100 * u32::from(n));
                text += &format!("[Route]\nGateway={gateway}\nMetric={metric}\n");
            }
            text
        })
    }

    /// With the lines that `network` gives for the section `[Network]` of each uplink.
    pub(crate) fn start_with(network: impl Fn(u8) -> String) -> Result<Self> {
        fs::create_dir_all(FILES).with_context(|| format!("create {FILES}"))?;
        for n in 1..=2 {
            let text =
                format!("[Match]\nName={}\n[Network]\n{}", addressing::device(n), network(n));
            fs::write(file(n), text).with_context(|| format!("write {}", file(n)))?;
        }
        systemctl(&["start", "systemd-networkd.service"])?;
        Ok(Self)
    }

    /// As if somebody had written the uplink's file anew.
    #[expect(clippy::unused_self, reason = "there is no file without the manager")]
    pub(crate) fn touch(&self, number: u8) -> Result<()> {
        command::run(&["touch", &file(number)]).map(drop)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let stopped = systemctl(&["stop", "systemd-networkd.socket", "systemd-networkd.service"])
            .and_then(|_| fs::remove_dir_all(FILES).context("remove networkd's files"));
        if let Err(error) = stopped {
            eprintln!("{error:#}");
        }
        // Only there when it was written.
        drop(fs::remove_file(DROP_IN));
    }
}

/// networkd's defaults since systemd 249, taken back when dropped.
pub(crate) struct Defaults;

impl Defaults {
    pub(crate) fn set() -> Result<Self> {
        fs::create_dir_all(SETTINGS).with_context(|| format!("create {SETTINGS}"))?;
        let text = "[Network]\nManageForeignRoutingPolicyRules=yes\nManageForeignRoutes=yes\n";
        fs::write(Path::new(SETTINGS).join("10-defaults.conf"), text).context("write settings")?;
        Ok(Self)
    }
}

impl Drop for Defaults {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(SETTINGS) {
            eprintln!("remove {SETTINGS}: {error}");
        }
    }
}

fn file(number: u8) -> String {
    format!("{FILES}/10-up{number}.network")
}

#[test]
fn what_networkd_configures_again_is_answered_again_and_no_rule_is_lost() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let manager = Manager::start()?;
    let service = Service::install()?;
    service.prroute(&["setup", "networkd"])?.success()?;
    systemctl(&["restart", "systemd-networkd.service"])?;
    systemctl(&["start", "prroute.service"])
        .with_context(|| service.journal(&[]).unwrap_or_default())?;
    let answered = |when: &str| {
        let asked = wait::until("every question is answered", JOB, || {
            Ok(expect_answers(&lab).is_ok().then_some(()))
        });
        asked.with_context(|| format!("{when}\n{}", service.journal(&[]).unwrap_or_default()))
    };
    answered("at first")?;
    (1..=2).try_for_each(|n| manager.touch(n))?;
    command::run(&["networkctl", "reload"])?;
    answered("networkctl reload")?;
    command::run(&["networkctl", "reconfigure", "up2"])?;
    answered("networkctl reconfigure")?;
    systemctl(&["restart", "systemd-networkd.service"])?;
    answered("systemctl restart systemd-networkd")?;
    let complaints = service.journal(&["--priority=warning"])?;
    assert!(!complaints.contains("putting back"), "{complaints}");
    Ok(())
}

/// The way out: what is exported is all that networkd needs for the host's own addresses.
#[test]
fn networkd_routes_by_source_as_it_was_exported() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let _manager = Manager::start()?;
    wait::until("networkd has configured the uplinks", JOB, || {
        let list = lab.host.ip("route show default")? + &lab.host.ip("-6 route show default")?;
        Ok((list.lines().count() >= 4).then_some(()))
    })?;
    let service = Service::install()?;
    for n in 1..=2 {
        let device = addressing::device(n);
        let words = ["export", "networkd", "dev", &device];
        let text = service.prroute(&words)?.success()?;
        let folder = format!("{FILES}/10-{device}.network.d");
        fs::create_dir(&folder).with_context(|| format!("create {folder}"))?;
        let file = format!("{folder}/prroute-export.conf");
        fs::write(&file, text).with_context(|| format!("write {file}"))?;
    }
    systemctl(&["restart", "systemd-networkd.service"])?;
    wait::until("every question is answered", JOB, || Ok(expect_answers(&lab).ok()))
        .with_context(|| lab.host.ip("rule show").unwrap_or_default())
}
