//! Router advertisements by radvd.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a router says of itself, and of its link's prefix.
#[derive(Clone, Debug)]
pub struct Advertisement {
    /// Seconds for which it is a default gateway; 0, or 4 and more.
    pub lifetime: u16,
    /// A /64 from which hosts take addresses.
    pub prefix: Option<String>,
    /// Seconds for which these addresses are preferred.
    pub preferred: u32,
    /// As a default gateway: `low`, `medium` or `high`.
    pub preference: &'static str,
    /// What its link carries; `None`: it says nothing of that.
    pub mtu: Option<u16>,
}

impl Advertisement {
    /// A default gateway, and addresses of `prefix`.
    pub fn of(prefix: &str) -> Self {
        Self {
            lifetime: 1800,
            prefix: Some(prefix.to_owned()),
            preferred: 14_400,
            preference: "medium",
            mtu: None,
        }
    }

    fn configuration(&self, interface: &str) -> String {
        let prefix = self.prefix.as_ref().map_or_else(String::new, |prefix| {
            format!(
                "    prefix {prefix} {{ AdvOnLink on; AdvAutonomous on; \
                 AdvPreferredLifetime {}; }};\n",
                self.preferred
            )
        });
        let mtu = self.mtu.map_or_else(String::new, |mtu| format!("    AdvLinkMTU {mtu};\n"));
        format!(
            "interface {interface} {{\n    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; \
             AdvDefaultLifetime {}; AdvDefaultPreference {};\n{mtu}{prefix}}};\n",
            self.lifetime, self.preference
        )
    }
}

/// A router that advertises itself, every three or four seconds and when it is asked.
#[derive(Debug)]
pub struct Advertiser {
    radvd: Process,
    file: PathBuf,
    interface: String,
}

impl Advertiser {
    /// Advertises at once.
    pub fn start(
        namespace: &Namespace,
        interface: &str,
        scratch: &Scratch,
        advertisement: &Advertisement,
    ) -> Result<Self> {
        let base = format!("radvd-{}-{interface}", namespace.name());
        let text = advertisement.configuration(interface);
        let file = scratch.write(&format!("{base}/conf"), &text)?;
        let (configuration, pid) =
            (file.display().to_string(), scratch.path().join(base).join("pid"));
        let pid = pid.display().to_string();
        let radvd = ["radvd", "-n", "-m", "stderr", "-C", &configuration, "-p", &pid];
        let radvd = namespace.spawn(&radvd)?;
        Ok(Self { radvd, file, interface: interface.to_owned() })
    }

    /// Says something else from now on.
    pub fn change(&self, advertisement: &Advertisement) -> Result<()> {
        std::fs::write(&self.file, advertisement.configuration(&self.interface))
            .with_context(|| format!("write {}", self.file.display()))?;
        self.radvd.signal(Signal::SIGHUP)
    }

    /// Ends as a router does that is shut down: it says that it is none any more.
    pub fn withdraw(mut self) -> Result<()> {
        self.radvd.stop(Signal::SIGTERM, DEADLINE).map(drop)
    }

    /// Falls silent, like a router that lost its power: what it said holds until it expires.
    pub fn fall_silent(mut self) -> Result<()> {
        self.radvd.kill().map(drop)
    }
}
