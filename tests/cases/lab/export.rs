//! Exported rules and routes do prroute's work for the host's own addresses when it is gone.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Question};

use crate::import::{lost_nothing, pings, run_script};

const COMMAND: Duration = Duration::from_secs(60);

#[test]
fn exported_rules_take_over_without_a_lost_packet() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let Output { status, stdout: script, stderr, .. } = prroute.output(&["export", "rules"])?;
    ensure!(status.success(), "{stderr}");
    let shared = addressing::shared(Family::V4).to_string();
    ensure!(stderr.contains("not exported: ") && stderr.contains(&shared), "{stderr}");
    let pings = pings(&lab)?;
    run_script(&lab, "rules.sh", &script)?;
    daemon.terminate()?;
    prroute.down()?;
    lost_nothing(pings).with_context(|| script.clone())?;
    own_sources_work(&lab).with_context(|| script.clone())?;
    // They are in nobody's way when prroute comes back.
    prroute.run(&[])?.terminate()?;
    prroute.down().map(drop)
}

/// Each own address over its uplink; the shared one only where main leads.
fn own_sources_work(lab: &Lab) -> Result<()> {
    let own = probe::to_own_addresses(3, &Question::ALL);
    probe::expect_all_answered(&lab.ask(&own)?)?;
    let shared = probe::to_shared_address(3, &[Question::Ping]);
    probe::expect_answered(&lab.ask(&shared)?, |probe| probe.uplink() == 1)
}

#[test]
fn exported_lines_are_what_ip_takes_after_prroute_is_gone() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    let batches = Family::BOTH.map(|family| {
        let words = ["export", "rules", family.option()];
        Ok::<_, anyhow::Error>((family, prroute.output(&words)?.success()?))
    });
    for batch in batches {
        let (family, lines) = batch?;
        let mut ip = lab.host.command(&["ip", family.option(), "-batch", "-"]);
        let output = command::output_within(&mut ip, COMMAND, &lines)?;
        output.success().with_context(|| lines.clone())?;
    }
    lab.meet_default_gateway()?;
    own_sources_work(&lab)
}

/// A lab's namespace has no udev: networkd waits for none where `/sys` cannot be written. It finds its
/// files, and keeps its state, in a `/run` of its own.
const NETWORKD: &str = "\
mount -t sysfs -o ro sysfs /sys && mount --bind \"$1\" /run && \
chown -R systemd-network:systemd-network /run/systemd/netif && \
exec /lib/systemd/systemd-networkd";

#[test]
fn networkd_takes_exported_files_and_the_hosts_own_addresses_answer() -> Result<()> {
    let mut lab = Lab::with_services(Topology { uplinks: 2, shared: false, ..Topology::DEFAULT })?;
    let own = probe::to_own_addresses(2, &Question::ALL);
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&own)?, |probe| probe.uplink() == 1).context("before")?;
    let run = lab.scratch.path().join("run");
    let files = run.join("systemd/network");
    let prroute = lab.prroute()?;
    for number in [1, 2] {
        let device = addressing::device(number);
        let text = prroute.output(&["export", "networkd", "dev", &device])?.success()?;
        let drop_ins = files.join(format!("10-{device}.network.d"));
        fs::create_dir_all(&drop_ins).with_context(|| format!("create {}", drop_ins.display()))?;
        fs::write(drop_ins.join("prroute-export.conf"), text).context("write a drop-in")?;
        let file = files.join(format!("10-{device}.network"));
        fs::write(&file, network(number)).with_context(|| format!("write {}", file.display()))?;
    }
    fs::create_dir_all(run.join("systemd/netif")).context("create a folder for networkd")?;
    // Whatever the uplinks have from now on is networkd's.
    for number in [1, 2] {
        lab.host.ip(&format!("address flush dev {}", addressing::device(number)))?;
    }
    let run = run.display().to_string();
    let networkd =
        ["unshare", "--mount", "--propagation=private", "sh", "-c", NETWORKD, "sh", &run];
    let networkd = lab.host.spawn(&networkd)?;
    let answered = lab.expect_answered_within(COMMAND, &own);
    let log = networkd.log();
    answered.with_context(|| log.clone())?;
    for word in ["Unknown", "ignoring", "Failed", "Could not"] {
        ensure!(!log.contains(word), "networkd complains:\n{log}");
    }
    drop(prroute);
    lab.keep_running(networkd);
    Ok(())
}

/// An administrator's file for an uplink: addresses and main's default routes.
fn network(number: u8) -> String {
    let mut text =
        format!("[Match]\nName={}\n[Network]\nIPv6AcceptRA=no\n", addressing::device(number));
    for family in Family::BOTH {
        let (address, length) =
            (addressing::host(number, family), addressing::prefix_length(family));
        text += &format!("Address={address}/{length}\n");
    }
    for family in Family::BOTH {
        let (gateway, metric) = (addressing::gateway(number, family), 100 * u32::from(number));
        text += &format!("[Route]\nGateway={gateway}\nMetric={metric}\n");
    }
    text
}
