//! The uplinks that flows are bound to: what their devices are called now, and whether replies can leave by them.

use std::collections::BTreeMap;

use anyhow::Result;
use ipnet::IpNet;

use crate::datapath::flows::FlowRecord;
use crate::datapath::targets::{Obstacle, Target};
use crate::datapath::{Pins, Tables};
use crate::netlink::device_name;
use crate::runtime::RunDirectory;
use crate::state::uplink::UplinkId;

#[derive(Default)]
pub(super) struct Uplinks(BTreeMap<UplinkId, Uplink>);

struct Uplink {
    target: Target,
    /// `None`: its device is no uplink any more.
    name: Option<String>,
    on_link: Vec<IpNet>,
}

/// What a flow is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound<'a> {
    /// `None`: the device is gone, or no uplink any more.
    pub(super) name: Option<&'a str>,
    /// What keeps replies from leaving by it.
    pub(super) obstacle: Option<Obstacle>,
}

impl Uplinks {
    pub(super) fn read(pins: &Pins, directory: &RunDirectory) -> Result<Self> {
        let report = directory.read_report().usable().unwrap_or_default();
        let targets = Tables::open(pins)?.targets()?;
        let uplinks = targets.into_iter().map(|target| {
            let known = report
                .uplinks
                .iter()
                .find(|known| (known.id, known.generation) == (target.id().0, target.generation()));
            let is_uplink = known.is_some() || !target.is_retired();
            let name = is_uplink.then(|| device_name(target.ifindex())).flatten();
            let on_link = known.map(|known| known.on_link.clone()).unwrap_or_default();
            (target.id(), Uplink { target, name, on_link })
        });
        Ok(Self(uplinks.collect()))
    }

    pub(super) fn of(&self, record: &FlowRecord) -> Bound<'_> {
        let uplink = self.0.get(&record.uplink);
        let Some(uplink) = uplink.filter(|it| it.target.generation() == record.generation) else {
            return Bound { name: None, obstacle: Some(Obstacle::Gone) };
        };
        let is_on_link = || uplink.on_link.iter().any(|net| net.contains(&record.remote));
        let target = &uplink.target;
        let obstacle = target.obstacle(record.local, record.remote, record.router, is_on_link);
        Bound { name: uplink.name.as_deref(), obstacle }
    }

    /// The name of an uplink that some flows are bound to; by `#` and its id where it is gone.
    pub(super) fn name(&self, id: UplinkId, is_named: bool) -> String {
        let name = self.0.get(&id).and_then(|uplink| uplink.name.clone());
        name.filter(|_| is_named).unwrap_or_else(|| format!("#{id}"))
    }

    /// Whether its replies wait for it.
    pub(super) fn holds(&self, id: UplinkId) -> bool {
        self.0.get(&id).is_some_and(|uplink| uplink.target.holds())
    }
}

#[cfg(test)]
impl Uplinks {
    /// Uplink 1, generation 1, which can be used.
    pub(super) fn one(name: &str) -> Self {
        Self::with(name, crate::datapath::targets::tests::usable())
    }

    /// Likewise, but it is down.
    pub(super) fn down(name: &str) -> Self {
        Self::with(name, crate::datapath::targets::tests::down())
    }

    fn with(name: &str, target: Target) -> Self {
        let uplink = Uplink { target, name: Some(name.to_owned()), on_link: Vec::new() };
        Self([(target.id(), uplink)].into())
    }
}
