//! Virtual addresses by keepalived: two hosts of one segment, one of which has them.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::addressing::Family;
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(60);

/// What one of the hosts runs.
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    pub interface: &'a str,
    /// On a macvlan with a link-layer address of its own (RFC 5798).
    pub use_vmac: bool,
    /// The highest one has the addresses.
    pub priority: u8,
    /// With their prefix length.
    pub addresses: &'a [(IpAddr, u8)],
}

impl Configuration<'_> {
    /// One instance per family.
    fn text(&self) -> String {
        let mut text = String::from("global_defs {\n    vrrp_garp_master_refresh 0\n}\n");
        for (family, router_id) in [(Family::V4, 51), (Family::V6, 52)] {
            let addresses: Vec<String> = self
                .addresses
                .iter()
                .filter(|(address, _)| Family::of(*address) == family)
                .map(|(address, length)| format!("{address}/{length}"))
                .collect();
            if addresses.is_empty() {
                continue;
            }
            let vmac = if self.use_vmac { "use_vmac" } else { "" };
            text += &format!(
                "vrrp_instance i{router_id} {{
    state BACKUP
    version 3
    interface {}
    virtual_router_id {router_id}
    priority {}
    advert_int 0.3
    {vmac}
    virtual_ipaddress {{
        {}
    }}
}}
",
                self.interface,
                self.priority,
                addresses.join("\n        "),
            );
        }
        text
    }
}

/// A running keepalived.
#[derive(Debug)]
pub struct Keepalived {
    process: Process,
}

impl Keepalived {
    /// Starts as a backup; it takes the addresses when nobody of a higher priority has them.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        configuration: &Configuration<'_>,
    ) -> Result<Self> {
        Self::start_with(namespace, scratch, &configuration.text())
    }

    /// Likewise, with this text as its configuration file.
    pub fn start_with(namespace: &Namespace, scratch: &Scratch, text: &str) -> Result<Self> {
        let base = format!("keepalived-{}", namespace.name());
        let file = scratch.write(&format!("{base}/conf"), text)?;
        let path = |name: &str| scratch.path().join(&base).join(name).display().to_string();
        let (conf, pid, vrrp) = (file.display().to_string(), path("pid"), path("vrrp"));
        let process = namespace.spawn(&[
            "keepalived",
            "--dont-fork",
            "--log-console",
            "--log-detail",
            "--vrrp",
            "-f",
            &conf,
            "-p",
            &pid,
            "-r",
            &vrrp,
        ])?;
        Ok(Self { process })
    }

    /// Waits until it has the addresses.
    pub fn wait_master(&mut self, namespace: &Namespace, addresses: &[(IpAddr, u8)]) -> Result<()> {
        self.wait(namespace, addresses, true)
    }

    /// Waits until it has given the addresses back, and goes on as a backup.
    pub fn wait_backup(&mut self, namespace: &Namespace, addresses: &[(IpAddr, u8)]) -> Result<()> {
        self.wait(namespace, addresses, false)
    }

    fn wait(
        &mut self,
        namespace: &Namespace,
        addresses: &[(IpAddr, u8)],
        there: bool,
    ) -> Result<()> {
        let verb = if there { "takes" } else { "gives back" };
        wait::until(&format!("keepalived {verb} its addresses"), DEADLINE, || {
            self.process.check_running()?;
            let text = namespace.ip("-o address show")?;
            let has =
                |(address, length): &(IpAddr, u8)| text.contains(&format!(" {address}/{length} "));
            Ok(addresses.iter().all(|address| has(address) == there).then_some(()))
        })
        .with_context(|| self.process.log())
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Tells the others that it goes, and removes what it made.
    pub fn stop(mut self) -> Result<()> {
        self.process.stop(Signal::SIGTERM, DEADLINE).map(drop)
    }
}
