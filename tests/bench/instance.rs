//! prroute on the hosts that have it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::prroute::{Daemon, Instance};
use prroute_tests::scratch::Scratch;
use prroute_tests::wait;

use crate::host::{Host, Variant};

/// A running prroute; undone when dropped.
#[derive(Debug)]
pub(crate) struct Running<'h> {
    // Ends before what it started is undone.
    _daemon: Daemon,
    instance: Instance<'h>,
}

impl<'h> Running<'h> {
    /// Starts prroute on `host`, when its variant has it, and waits until every gateway is known.
    /// `flows` is the size of its tables.
    pub(crate) fn start(host: &'h Host, scratch: &Scratch, flows: u32) -> Result<Option<Self>> {
        let Some(cgroup) = &host.cgroup else { return Ok(None) };
        let mut instance =
            Instance::new(&host.host, scratch, host.name())?.wrapped(cgroup.as_root()?);
        let reply = match host.variant {
            Variant::PrrouteLastHop => "reply = \"last-hop\"\n",
            _ => "",
        };
        let mut configuration = format!("flows = {flows}\n");
        for number in [1, 2] {
            let [four, six] = Family::BOTH.map(|family| addressing::gateway(number, family));
            let name = addressing::device(number);
            configuration += &format!(
                "[[uplink]]\nname = \"{name}\"\ngateway = [\"{four}\", \"{six}\"]\n{reply}"
            );
        }
        instance.configure(&configuration)?;
        let daemon = instance.run(&[])?;
        let running = Self { _daemon: daemon, instance };
        wait::until_done("prroute knows every gateway", Duration::from_secs(30), || {
            running.knows_gateways()
        })?;
        Ok(Some(running))
    }

    pub(crate) fn name(&self) -> &str {
        self.instance.name()
    }

    fn knows_gateways(&self) -> Result<Option<()>> {
        let status = self.instance.status()?;
        let uplinks = status["uplinks"].as_array().context("the status has no uplinks")?;
        let usable = uplinks.iter().filter(|uplink| {
            ["gateway4_usable", "gateway6_usable"].iter().all(|key| uplink[key] == true)
        });
        Ok((usable.count() == 2).then_some(()))
    }
}
