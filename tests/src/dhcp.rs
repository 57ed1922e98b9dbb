//! DHCP by real programs: dnsmasq gives addresses away, Debian's dhclient asks for them.
//!
//! The client runs Debian's own configuration and script, with an /etc and a /var/lib/dhcp of
//! its own: what it writes there (resolv.conf, leases) stays in the scratch directory.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::command;
use crate::mounts;
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

/// dhclient asks again after a few seconds when its packets were lost.
const ANSWER: Duration = Duration::from_secs(30);

/// Seconds after which a client renews its lease: the least that dnsmasq takes.
const RENEWAL: u8 = 3;

/// Seconds after which it asks everybody. dnsmasq's refusal is a broadcast, which systemd-networkd does
/// not hear before.
const REBINDING: u8 = 6;

/// A running server; each network's first address is its router.
#[derive(Debug)]
pub struct Server {
    dnsmasq: Process,
    file: PathBuf,
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl Server {
    /// Gives each link-layer address its address, of networks (/24) that `interface` is in.
    pub fn start(
        namespace: &Namespace,
        interface: &str,
        scratch: &Scratch,
        networks: &[Ipv4Addr],
        addresses: BTreeMap<String, Ipv4Addr>,
    ) -> Result<Self> {
        let base = format!("dhcp-{}-{interface}", namespace.name());
        let file = scratch.write(&format!("{base}/hosts"), &lines(&addresses))?;
        let leases = scratch.path().join(format!("{base}/leases"));
        let mut words: Vec<String> = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null"]
            .into_iter()
            .chain(["--pid-file=", "--user=root", "--port=0", "--bind-dynamic", "--no-ping"])
            .chain(["--dhcp-authoritative", "--log-dhcp"])
            .map(str::to_owned)
            .collect();
        words.extend([
            format!("--interface={interface}"),
            format!("--dhcp-leasefile={}", leases.display()),
            format!("--dhcp-hostsfile={}", file.display()),
            format!("--dhcp-option-force=58,{RENEWAL}s"),
            format!("--dhcp-option-force=59,{REBINDING}s"),
            "--dhcp-option=option:domain-name,lease.test".to_owned(),
        ]);
        words.extend(networks.iter().map(|n| format!("--dhcp-range={n},static,255.255.255.0,10m")));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut dnsmasq = namespace.spawn(&words)?;
        dnsmasq.wait_log("dnsmasq has read its hosts", ANSWER, |log| {
            log.contains(&format!("read {}", file.display())).then_some(())
        })?;
        Ok(Self { dnsmasq, file, addresses })
    }

    /// How often a client got its lease, for the first time or again.
    pub fn acknowledgements(&self) -> usize {
        self.dnsmasq.log().matches("DHCPACK(").count()
    }

    /// Another address for a client: the one it has is refused when it renews its lease.
    pub fn reassign(&mut self, mac: &str, address: Ipv4Addr) -> Result<()> {
        self.addresses.insert(mac.to_owned(), address);
        std::fs::write(&self.file, lines(&self.addresses))
            .with_context(|| format!("write {}", self.file.display()))?;
        self.dnsmasq.signal(Signal::SIGHUP)
    }
}

fn lines(addresses: &BTreeMap<String, Ipv4Addr>) -> String {
    addresses.iter().map(|(mac, address)| format!("{mac},{address}\n")).collect()
}

/// dhclient on one interface. What it configured stays when it is dropped.
#[derive(Debug)]
pub struct Client {
    dhclient: Process,
}

impl Client {
    /// Starts dhclient as ifupdown does; its default route gets this metric.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        interface: &str,
        metric: u16,
    ) -> Result<Self> {
        let base = scratch.path().join(format!("dhclient-{}", namespace.name()));
        let (etc, leases) = (base.join("etc"), base.join("leases"));
        if !etc.exists() {
            std::fs::create_dir_all(&etc).with_context(|| format!("create {}", etc.display()))?;
            command::run(&["cp", "-a", "/etc/dhcp", &etc.display().to_string()])?;
            for file in ["fstab", "resolv.conf"] {
                let path = etc.join(file);
                std::fs::write(&path, "").with_context(|| format!("write {}", path.display()))?;
            }
        }
        let wrapper = mounts::wrapper(&[(&etc, "/etc"), (&leases, "/var/lib/dhcp")])?;
        let (metric, file) =
            (format!("IF_METRIC={metric}"), format!("/var/lib/dhcp/dhclient.{interface}.leases"));
        let mut words: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        words.extend(["dhclient", "-4", "-d", "--no-pid", "-e", &metric, "-lf", &file, interface]);
        Ok(Self { dhclient: namespace.spawn(&words)? })
    }

    /// Waits until its script has configured `address`.
    pub fn wait_bound(&mut self, address: Ipv4Addr) -> Result<()> {
        let bound = format!("bound to {address} -- ");
        self.dhclient.wait_log(&bound, ANSWER, |log| log.contains(&bound).then_some(()))
    }

    /// Waits until a lease was renewed once more.
    pub fn wait_renewed(&mut self) -> Result<()> {
        let renewals = |log: &str| log.matches("DHCPACK of").count();
        let before = renewals(&self.dhclient.log());
        wait::until("a lease is renewed", ANSWER, || {
            self.dhclient.check_running()?;
            Ok((renewals(&self.dhclient.log()) > before).then_some(()))
        })
        .with_context(|| self.dhclient.log())
    }
}
