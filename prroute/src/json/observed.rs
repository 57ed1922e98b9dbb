//! What left by the wrong uplink, where packets are only observed.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::protocol_name;
use crate::datapath::wrong_uplinks::WrongUplink;
use crate::state::uplink::{Uplink, UplinkId};

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct ObservedJson {
    /// For how long was counted.
    pub(crate) seconds: Option<u64>,
    /// Replies that left by another uplink than their request came in on.
    pub(crate) packets: u64,
    /// There may have been more: a service may make room for others in the table, and then begins at 0 again.
    pub(crate) at_least: bool,
    /// By service and uplinks, the most first.
    pub(crate) services: Vec<WrongUplinkJson>,
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct WrongUplinkJson {
    /// By name, or the number of one that has none.
    pub(crate) protocol: String,
    /// The local one, which was asked.
    pub(crate) address: IpAddr,
    /// `null` where there are none, as in ICMP and in fragments.
    pub(crate) port: Option<u16>,
    /// The uplink that they left by.
    pub(crate) left_by: String,
    /// The uplink that their requests came in on.
    pub(crate) belongs_on: String,
    /// How many.
    pub(crate) packets: u64,
}

impl ObservedJson {
    /// `counted`, the most first, in `seconds`, of `total` packets, where that is known.
    pub(crate) fn new(
        seconds: Option<u64>,
        total: Option<u64>,
        counted: &[WrongUplink],
        uplinks: &[Uplink],
    ) -> Self {
        let services = counted.iter().map(|it| WrongUplinkJson::new(it, uplinks)).collect();
        let sum = counted.iter().map(|it| it.packets).sum();
        let packets = total.unwrap_or_default().max(sum);
        Self { seconds, packets, at_least: total.is_none(), services }
    }

    /// What left by this uplink, or belongs on it.
    pub(crate) fn keep_only(&mut self, uplink: &str) {
        self.at_least |= self.services.iter().map(|it| it.packets).sum::<u64>() < self.packets;
        self.services.retain(|it| it.left_by == uplink || it.belongs_on == uplink);
        self.packets = self.services.iter().map(|it| it.packets).sum();
    }
}

impl WrongUplinkJson {
    fn new(counted: &WrongUplink, uplinks: &[Uplink]) -> Self {
        let name = |id: UplinkId| {
            let uplink = uplinks.iter().find(|uplink| uplink.id == id);
            uplink.map_or_else(|| format!("#{id} (gone)"), |uplink| uplink.device.name.clone())
        };
        Self {
            protocol: protocol_name(counted.protocol).into_owned(),
            address: counted.address,
            port: (counted.port != 0).then_some(counted.port),
            left_by: name(counted.left_by),
            belongs_on: name(counted.belongs_on),
            packets: counted.packets,
        }
    }

    /// Address and port.
    pub(crate) fn endpoint(&self) -> String {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).to_string(),
            None => self.address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;

    #[test]
    fn a_service_is_named_with_the_uplinks_of_its_replies() {
        let counted = |address: &str, protocol, port, belongs_on| WrongUplink {
            protocol,
            address: address.parse().unwrap(),
            port,
            left_by: UplinkId(1),
            belongs_on: UplinkId(belongs_on),
            packets: 3,
        };
        let all = [counted("192.168.2.10", 6, 443, 2), counted("2001:db8::1", 58, 0, 9)];
        let observed = ObservedJson::new(Some(60), None, &all, &two_networks().uplinks());
        assert_eq!((observed.packets, observed.at_least), (6, true));
        let [web, ping] = &observed.services[..] else { panic!("two services") };
        assert_eq!((web.protocol.as_str(), web.endpoint().as_str()), ("tcp", "192.168.2.10:443"));
        assert_eq!((web.left_by.as_str(), web.belongs_on.as_str()), ("eth0", "eth1"));
        assert_eq!((ping.endpoint().as_str(), ping.port), ("2001:db8::1", None));
        assert_eq!(ping.belongs_on, "#9 (gone)");
    }

    #[test]
    fn services_that_made_room_for_others_count_in_the_total_alone() {
        let counted = WrongUplink {
            protocol: 17,
            address: "192.168.2.10".parse().unwrap(),
            port: 53,
            left_by: UplinkId(1),
            belongs_on: UplinkId(2),
            packets: 3,
        };
        let uplinks = two_networks().uplinks();
        let new =
            |total| ObservedJson::new(None, Some(total), std::slice::from_ref(&counted), &uplinks);
        let mut all = new(10);
        assert_eq!((all.packets, all.at_least), (10, false));
        all.keep_only("eth1");
        assert_eq!((all.packets, all.at_least), (3, true), "whose the others were nobody knows");
        let mut whole = new(3);
        whole.keep_only("eth1");
        assert_eq!((whole.packets, whole.at_least), (3, false));
    }
}
