//! netplan, with systemd-networkd behind it, and routing policies of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::network::{TWO_UPLINKS, answered, of_prroute, serve, settles};
use crate::networkd::Defaults;
use crate::pings::{self, Asker, EVERY_ADDRESS};
use crate::service::{JOB, Service, systemctl};

const FILE: &str = "/etc/netplan/10-case.yaml";

/// The destination of netplan's own rule, and its table.
const OWN: (&str, u32) = ("192.0.2.0/24", 902);

/// Of the second uplink's default routes; the first one's have 100.
const METRICS: [u32; 2] = [50, 200];

/// netplan's file, gone when dropped with what it made.
struct Plan;

impl Plan {
    /// Both uplinks as the lab has them.
    fn make() -> Result<Self> {
        let plan = Self;
        plan.write(METRICS[1])?;
        Ok(plan)
    }

    /// With this metric of the second uplink's default routes.
    #[expect(clippy::unused_self, reason = "the file is gone with the plan")]
    fn write(&self, metric: u32) -> Result<()> {
        let mut text = "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n".to_owned();
        for n in 1..=2 {
            text += &format!("    {}:\n      accept-ra: false\n", addressing::device(n));
            text += "      addresses:\n";
            for family in Family::BOTH {
                let length = addressing::prefix_length(family);
                text += &format!("      - {}/{length}\n", addressing::host(n, family));
            }
            text += "      routes:\n";
            for family in Family::BOTH {
                let (gateway, metric) =
                    (addressing::gateway(n, family), if n == 2 { metric } else { 100 });
                let any = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
                text += &format!("      - {{to: '{any}', via: '{gateway}', metric: {metric}}}\n");
            }
        }
        let (destination, table) = OWN;
        let gateway = addressing::gateway(2, Family::V4);
        text += &format!("      - {{to: '{destination}', via: {gateway}, table: {table}}}\n");
        text += "      routing-policy:\n";
        text += &format!("      - {{to: '{destination}', table: {table}, priority: {table}}}\n");
        fs::create_dir_all("/etc/netplan").context("create /etc/netplan")?;
        fs::write(FILE, text).with_context(|| format!("write {FILE}"))?;
        // netplan warns of files that others may read.
        fs::set_permissions(FILE, fs::Permissions::from_mode(0o600)).context("chmod")
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let gone = systemctl(&["stop", "systemd-networkd.socket", "systemd-networkd.service"])
            .and_then(|_| fs::remove_file(FILE).with_context(|| format!("remove {FILE}")))
            .and_then(|()| command::run(&["netplan", "generate"]))
            .and_then(|_| command::run(&["ip", "rule", "del", "priority", &OWN.1.to_string()]));
        if let Err(error) = gone {
            eprintln!("{error:#}");
        }
    }
}

fn apply() -> Result<()> {
    let mut netplan = command::command(&["netplan", "apply"])?;
    let output = command::output_within(&mut netplan, JOB, "")?;
    let said = output.stderr.clone();
    output.success()?;
    print!("{said}");
    Ok(())
}

/// netplan's rule and the route behind it.
fn own(lab: &Lab) -> Result<(String, String)> {
    let (destination, table) = OWN;
    let rules = lab.host.ip(&format!("rule show priority {table}"))?;
    Ok((rules, lab.host.ip(&format!("route show table all exact {destination}"))?))
}

#[test]
fn a_changed_plan_is_applied_beside_rules_of_both() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let _defaults = Defaults::set()?;
    let plan = Plan::make()?;
    apply()?;
    let own_before = wait::until("netplan's own rule and route are there", JOB, || {
        let own = own(&lab)?;
        Ok((own.0.contains(OWN.0) && own.1.contains(OWN.0)).then_some(own))
    })?;
    pings::during(&lab, "apply, without prroute", Asker::Router, &EVERY_ADDRESS, apply)?;

    let service = Service::start()?;
    let state = || service.journal(&[]).unwrap_or_default();
    answered(&lab).with_context(state)?;
    let before = of_prroute(&lab)?;
    for metric in METRICS {
        let what = format!("apply metric {metric}");
        pings::during(&lab, &what, Asker::Client, &EVERY_ADDRESS, || {
            plan.write(metric)?;
            apply()?;
            wait::until("the default route has the other metric", JOB, || {
                let default = lab.host.ip("route show default dev up2")?;
                Ok(default.contains(&format!("metric {metric}")).then_some(()))
            })?;
            settles(&lab, &before)?;
            wait::until("netplan's own rule and route are there again", JOB, || {
                Ok((own(&lab)? == own_before).then_some(()))
            })
        })
        .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(0))
        .with_context(state)?;
    }
    println!("put back {} times\n{}", service.said("put-back")?, state());
    Ok(())
}
