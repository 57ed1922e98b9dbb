//! The real cloud-init sets a host up: its network by netplan and systemd-networkd, prroute by contrib's user-data.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::network::{PORT, TWO_UPLINKS, serve, wait_for_answers};
use crate::package;
use crate::service::{JOB, Service, property, run, systemctl};

const USER_DATA: &str = "../contrib/cloud-init/user-data.yaml";

/// Where cloud-init looks for a cloud that has no network.
const SEED: &str = "/var/lib/cloud/seed/nocloud";

/// Beside the settings that Debian's package has.
const SETTINGS: &str = "/etc/cloud/cloud.cfg.d/99-guest.cfg";

/// The one cloud, and what the user-data is for: a guest has no keys and no disk to enlarge.
const TEXT: &str = "datasource_list: [NoCloud]\n\
                    cloud_init_modules: [write-files]\n\
                    cloud_config_modules: [runcmd]\n\
                    cloud_final_modules: [scripts-user]\n\
                    system_info: {network: {renderers: [netplan]}}\n";

/// What cloud-init and its user-data write beside that.
const WRITTEN: [&str; 4] =
    ["/etc/netplan", "/run/systemd/network", "/etc/prroute", "/etc/systemd/networkd.conf.d"];

const PUBLIC: u8 = 1;
const PRIVATE: u8 = 2;

/// What is reached over the private uplink.
const MANAGEMENT: &str = "192.0.2.14";

/// The user-data with everything filled in.
fn user_data() -> Result<String> {
    let package = package::file()?;
    let sum = run(&["sha256sum", &package])?;
    let sum = sum.split_whitespace().next().context("no checksum")?;
    let mut text = fs::read_to_string(USER_DATA).with_context(|| format!("read {USER_DATA}"))?;
    for (name, value) in [
        ("public_mac", addressing::host_mac(PUBLIC)),
        ("private_mac", addressing::host_mac(PRIVATE)),
        ("private_destinations", format!("[\"{MANAGEMENT}\"]")),
        ("package_url", format!("file://{package}")),
        ("package_sha256", sum.to_owned()),
    ] {
        let name = format!("${{{name}}}");
        ensure!(text.contains(&name), "{USER_DATA} has no {name}");
        text = text.replace(&name, &value);
    }
    Ok(text)
}

/// The network as a cloud describes it: addresses and a default route by each uplink, which are named, since
/// netplan finds by link-layer address only what has a permanent one, and no veth has. `rules` adds tables
/// and rules of netplan, as a host has them that was set up without prroute.
fn network(rules: bool) -> String {
    let mut text = "version: 2\nethernets:\n".to_owned();
    for n in [PUBLIC, PRIVATE] {
        let both = |value: &dyn Fn(Family) -> String| Family::BOTH.map(value).concat();
        let address = |family| {
            let (host, length) = (addressing::host(n, family), addressing::prefix_length(family));
            format!("      - {host}/{length}\n")
        };
        let any = |family| match family {
            Family::V4 => "0.0.0.0/0",
            Family::V6 => "::/0",
        };
        let route = |place: &str| {
            let (to, via) = (|family| any(family), |family| addressing::gateway(n, family));
            both(&|family| {
                format!("      - {{to: \"{}\", via: \"{}\", {place}}}\n", to(family), via(family))
            })
        };
        let device = addressing::device(n);
        text += &format!(
            "  {device}:\n    accept-ra: false\n    addresses:\n{}    routes:\n{}",
            both(&address),
            route(&format!("metric: {}", 100 * u32::from(n))),
        );
        if rules {
            let rule = |family| {
                let from = addressing::host(n, family);
                format!("      - {{from: \"{from}\", table: {}}}\n", table(n))
            };
            text += &route(&format!("table: {}", table(n)));
            text += &format!("    routing-policy:\n{}", both(&rule));
        }
    }
    text
}

fn table(number: u8) -> u8 {
    10 * number
}

/// A host that cloud-init sets up; as it was when dropped, with the package installed.
struct Host;

impl Host {
    /// Boots, as far as cloud-init is concerned.
    fn boot(name: &str, network: &str) -> Result<Self> {
        fs::create_dir_all(SEED).with_context(|| format!("create {SEED}"))?;
        let host = Self;
        let write = |path: &Path, text: &str| {
            fs::write(path, text).with_context(|| format!("write {}", path.display()))
        };
        let seed = Path::new(SEED);
        write(Path::new(SETTINGS), TEXT)?;
        write(&seed.join("meta-data"), &format!("instance-id: {name}\n"))?;
        write(&seed.join("network-config"), network)?;
        write(&seed.join("user-data"), &user_data()?)?;
        let user_data = seed.join("user-data").display().to_string();
        run(&["cloud-init", "schema", "--config-file", &user_data])?;
        run(&["cloud-init", "clean", "--logs"])?;
        run(&["systemctl", "restart", "cloud-init-local.service"])?;
        // It starts between these two stages.
        run(&["systemctl", "restart", "systemd-networkd.service"])?;
        for stage in ["cloud-init", "cloud-config", "cloud-final"] {
            run(&["systemctl", "restart", &format!("{stage}.service")])?;
        }
        Ok(host)
    }

    fn expect_no_errors(&self) -> Result<()> {
        let result =
            fs::read_to_string("/run/cloud-init/result.json").context("read the result")?;
        let log = fs::read_to_string("/var/log/cloud-init-output.log").unwrap_or_default();
        let result: serde_json::Value = serde_json::from_str(&result).context("parse it")?;
        let errors = result["v1"]["errors"].as_array().context("no list of errors")?;
        ensure!(errors.is_empty(), "{errors:?}\n{log}");
        println!("{log}");
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let units = ["cloud-init-local", "cloud-init", "cloud-config", "cloud-final"];
        let units = units.map(|stage| format!("{stage}.service"));
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        let manager = ["systemd-networkd.socket", "systemd-networkd.service"];
        let gone = systemctl(&[&["stop"], units.as_slice(), &manager].concat())
            .and_then(|_| run(&["cloud-init", "clean", "--logs", "--seed"]))
            .and_then(|_| package::leave_installed());
        if let Err(error) = gone {
            eprintln!("{error:#}");
        }
        for directory in WRITTEN {
            // Only there when something was written.
            drop(fs::remove_dir_all(directory));
        }
        for file in [SETTINGS, "/run/udev/rules.d/90-netplan.rules"] {
            drop(fs::remove_file(file));
        }
    }
}

/// A lab whose host has no address yet, and no prroute.
fn bare() -> Result<Lab> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    for n in [PUBLIC, PRIVATE] {
        for family in Family::BOTH {
            lab.unconfigure(n, family)?;
        }
    }
    package::purge()?;
    Ok(lab)
}

fn set_up(lab: &Lab, name: &str, network: &str) -> Result<(Host, Service)> {
    let host = Host::boot(name, network)?;
    let service = Service::install()?;
    host.expect_no_errors()?;
    service.wait_for(&["active"])?;
    ensure!(property("UnitFileState")? == "enabled", "{}", property("UnitFileState")?);
    wait::until("the uplinks have their addresses", JOB, || {
        let shown = lab.host.ip("address show scope global")?;
        let wanted = lab.host_addresses();
        Ok(wanted.iter().all(|address| shown.contains(&format!(" {address}/"))).then_some(()))
    })?;
    Ok((host, service))
}

#[test]
fn a_host_of_contribs_user_data_answers_on_both_uplinks() -> Result<()> {
    let lab = bare()?;
    let (_host, service) = set_up(&lab, "plain", &network(false))?;
    let _echo = serve(&lab)?;
    wait_for_answers(&lab, &[PORT]).with_context(|| service.journal(&[]).unwrap_or_default())?;
    wait::until("management is reached over the private uplink", JOB, || {
        let route = lab.host.ip(&format!("route get {MANAGEMENT}"))?;
        Ok(route.contains(&format!(" dev {} ", addressing::device(PRIVATE))).then_some(()))
    })
}

#[test]
fn where_netplan_already_routes_by_source_nothing_is_added_for_these_addresses() -> Result<()> {
    let lab = bare()?;
    let (_host, service) = set_up(&lab, "rules", &network(true))?;
    let _echo = serve(&lab)?;
    wait_for_answers(&lab, &[PORT]).with_context(|| service.journal(&[]).unwrap_or_default())?;
    let rules = lab.host.ip("-4 -N rule show")? + &lab.host.ip("-6 -N rule show")?;
    for n in [PUBLIC, PRIVATE] {
        for family in Family::BOTH {
            let netplans = format!("from {} lookup {}", addressing::host(n, family), table(n));
            ensure!(rules.contains(&netplans), "no {netplans} in\n{rules}");
        }
    }
    let of_a_source = |rule: &str| rule.contains("from 10.0.") || rule.contains("from 2001:db8:");
    let ours = rules.lines().filter(|rule| rule.contains("proto 213") && of_a_source(rule));
    let ours: Vec<&str> = ours.collect();
    ensure!(ours.is_empty(), "{ours:?}");
    Ok(())
}
