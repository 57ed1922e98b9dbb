//! `prroute report`: one text for a report of a fault, with addresses or without.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe;

/// Sections that are there whatever the host is.
const SECTIONS: [&str; 16] = [
    "versions: ",
    "status: prroute status -a",
    "status as JSON: ",
    "doctor: prroute doctor",
    "plan: prroute plan",
    "configuration: ",
    "rules: ip -4 rule",
    "routes: ip -6 route show table main",
    "interfaces: ip -d link",
    "addresses: ip address",
    "programs on the hooks: ",
    "pins: /sys/fs/bpf/prroute/",
    "counters, tables and findings: prroute metrics",
    "healed: ",
    "log: ",
    "what the daemon reports: /run/prroute/",
];

/// A comment that names an address of nobody else.
const CONFIGURATION: &str =
    "# the firewall is at 198.51.100.77, 2001:db8:77::1 and 02:00:5e:00:77:01\n";

/// Every word of the text that is an address.
fn addresses(text: &str) -> Vec<IpAddr> {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    text.split(|c| !is_part(c)).filter_map(|word| word.parse().ok()).collect()
}

fn is_local_everywhere(address: &IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[test]
fn a_report_has_every_section_and_keeps_what_was_configured() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.configured(CONFIGURATION)?;
    let daemon = prroute.run(&[])?;
    let said = prroute.output(&["report"])?;
    let report = said.success()?;
    for section in SECTIONS {
        ensure!(report.contains(&format!("===== {section}")), "no {section:?} in\n{report}");
    }
    for part in [CONFIGURATION, "10.0.1.10", "up1 ingress 1: ", "default via 10.0.2.1"] {
        ensure!(report.contains(part), "no {part:?} in\n{report}");
    }
    // Whatever is wrong: it was reported.
    lab.host.ip("link set up2 down")?;
    let degraded = prroute.output(&["report"])?;
    ensure!(degraded.stderr.contains("Read it before you send it"), "{}", degraded.stderr);
    ensure!(degraded.success()?.contains("up2 is set down"), "not said");
    daemon.kill()?;
    let unwatched = prroute.output(&["report"])?.success()?;
    ensure!(unwatched.contains("UNWATCHED"), "{unwatched}");
    prroute.down()?;
    let nothing = prroute.output(&["report"])?.success()?;
    ensure!(nothing.contains("is not running"), "{nothing}");
    Ok(())
}

#[test]
fn a_report_with_pseudonyms_has_no_address_of_the_host_or_its_peers() -> Result<()> {
    // The journal has the uplinks' old `rp_filter`, with their MAC addresses.
    let lab = Lab::with_services(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    // `ip` writes what a bridge is known by without leading zeros.
    lab.host.ip("link add br9 address 02:42:ac:11:00:02 type bridge")?;
    let of_bridge = "2:42:ac:11:0:2";
    let prroute = lab.prroute()?.configured(CONFIGURATION)?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    let open = prroute.output(&["report"])?.success()?;
    let path = lab.scratch.path().join("report.txt");
    let file = path.display().to_string();
    let said = prroute.output(&["report", "--hash-addresses", "-o", &file])?;
    ensure!(said.stdout.is_empty() && said.stderr.contains(&file), "{said:?}");
    said.success()?;
    let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    let hashed = std::fs::read_to_string(&path)?;
    ensure!(open.contains("\"old\": 1"), "no old rp_filter in\n{open}");
    ensure!(open.contains(of_bridge), "no {of_bridge} in\n{open}");
    ensure!(!hashed.contains(of_bridge), "{of_bridge} is left:\n{hashed}");
    // What is the host's, what the configuration names, and what the open report found.
    let mut known = Vec::new();
    for device in ["up1", "up2"] {
        let link = lab.host.ip(&format!("-o link show {device}"))?;
        let mac = link.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
        let mac = mac.with_context(|| link.clone())?;
        known.push(mac.to_owned());
    }
    known.extend(["198.51.100.77", "2001:db8:77::1", "02:00:5e:00:77:01"].map(str::to_owned));
    let mut found = addresses(&open);
    found.retain(|address| !is_local_everywhere(address));
    ensure!(found.len() > 20, "too few to tell: {found:?}");
    // Prefixes that a standard names stay.
    let well_known = ["fe80::", "169.254.169.254", "10.0.0.0", "192.168.0.0"];
    known.extend(
        found.iter().map(ToString::to_string).filter(|it| !well_known.contains(&it.as_str())),
    );
    let left = addresses(&hashed);
    for address in &known {
        if let Ok(address) = address.parse::<IpAddr>() {
            ensure!(!left.contains(&address), "{address} is left:\n{hashed}");
        } else {
            ensure!(
                !hashed.to_lowercase().contains(address.as_str()),
                "{address} is left:\n{hashed}"
            );
            let bytes = address.split(':').map(|byte| u8::from_str_radix(byte, 16));
            let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().context(address.clone())?;
            let list = format!("{bytes:?}").replace(' ', "");
            let packed: String = hashed.split_whitespace().collect();
            ensure!(!packed.contains(&list), "{address} is left as {list}:\n{hashed}");
        }
    }
    for part in
        ["ipv4-1", "ipv6-1", "mac-1", "in one /24: ", "dev up2", "# the firewall is at ipv4-"]
    {
        ensure!(hashed.contains(part), "no {part:?} in\n{hashed}");
    }
    // The same address has the same pseudonym in the JSON, in the configuration and in routes.
    let line = hashed.lines().find(|line| line.starts_with("default via ")).context("a route")?;
    let gateway = line.split_whitespace().nth(2).context("its gateway")?;
    ensure!(hashed.contains(&format!("\"gateway\": \"{gateway}\"")), "{gateway} in\n{hashed}");
    daemon.terminate()?;
    prroute.down().map(drop)
}
