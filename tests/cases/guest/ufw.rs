//! ufw with its own rules and kernel settings: it drops what is not asked for, and asks the kernel for
//! strict reverse path filters.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing;
use prroute_tests::command;
use prroute_tests::lab::{Lab, Topology};

use crate::network::{PORT, TWO_UPLINKS, serve, silent, wait_for_answers};
use crate::service::{JOB, Service};

/// No filter but ufw's.
const NO_FILTER: Topology = Topology { rp_filter: 0, ..TWO_UPLINKS };

/// What ufw sets when it is enabled.
const SETTINGS: &str = "/etc/ufw/sysctl.conf";

/// What these settings say elsewhere, and on hosts that were upgraded; Debian 12's are silent about it.
const STRICT: &str = "net/ipv4/conf/default/rp_filter=1\nnet/ipv4/conf/all/rp_filter=1\n";

/// What they ask for, which stays when ufw is disabled.
const FILTERS: [&str; 2] = ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"];

/// ufw with the echo servers' port open; disabled and forgotten, and the filters as before, when dropped.
struct Firewall {
    settings: String,
    filters: String,
}

impl Firewall {
    fn enable() -> Result<Self> {
        let settings = fs::read_to_string(SETTINGS).with_context(|| format!("read {SETTINGS}"))?;
        let strict = format!("{settings}{STRICT}");
        let filters = command::run(&[&["sysctl"], &FILTERS[..]].concat())?.replace(" = ", "=");
        let firewall = Self { settings, filters };
        fs::write(SETTINGS, strict).with_context(|| format!("write {SETTINGS}"))?;
        ufw(&["allow", &PORT.to_string()])?;
        ufw(&["--force", "enable"])?;
        Ok(firewall)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if let Err(error) = ufw(&["--force", "reset"]) {
            eprintln!("{error:#}");
        }
        if let Err(error) = fs::write(SETTINGS, &self.settings) {
            eprintln!("write {SETTINGS}: {error}");
        }
        let filters: Vec<&str> = self.filters.lines().collect();
        if let Err(error) = command::run(&[&["sysctl", "-q", "-w"], &filters[..]].concat()) {
            eprintln!("{error:#}");
        }
    }
}

fn ufw(words: &[&str]) -> Result<String> {
    let mut command = command::command(&[&["ufw"], words].concat())?;
    command::output_within(&mut command, JOB, "")?.success()
}

fn filter_of_all() -> Result<String> {
    Ok(command::run(&["sysctl", "-n", "net.ipv4.conf.all.rp_filter"])?.trim().to_owned())
}

#[test]
fn both_uplinks_are_answered_whatever_is_done_with_it() -> Result<()> {
    let lab = Lab::around_this_machine(NO_FILTER)?;
    let _echo = serve(&lab)?;
    let _firewall = Firewall::enable()?;
    ensure!(filter_of_all()? == "1", "ufw asks for no strict filter: {}", filter_of_all()?);
    let lost = silent(&lab, addressing::host)?;
    println!("without prroute: {lost:?}");
    ensure!(lost.iter().any(|question| question.ends_with("uplink 2")), "{lost:?}");

    let service = Service::start()?;
    let answered = |after: &str| {
        wait_for_answers(&lab, &[PORT])
            .with_context(|| format!("{after}\n{}", service.journal(&[]).unwrap_or_default()))
    };
    answered("ufw enable")?;
    for command in [&["reload"][..], &["disable"], &["--force", "enable"]] {
        ufw(command)?;
        answered(&format!("ufw {command:?}"))?;
    }
    ensure!(ufw(&["status"])?.starts_with("Status: active"), "{}", ufw(&["status"])?);
    let complaints = service.journal(&["--priority=warning"])?;
    // While ufw is taken down and set up again, its policy drops what the IPv6 gateways answer.
    let is_silence =
        |line: &&str| line.contains("gateway 2001:db8:") && line.contains("not answer");
    let others: Vec<&str> = complaints.lines().filter(|line| !is_silence(line)).collect();
    ensure!(others.is_empty(), "{others:?}");
    Ok(())
}
