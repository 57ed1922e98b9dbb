//! Why an operation is in a plan, in an administrator's words.

use super::desired::offset;
use super::observed::{Route, RouteKind, Rule, TABLE_LOCAL, TABLE_MAIN};
use super::own_source::OwnSources;
use super::plan::{NeighbourKey, Op};
use super::subnet_tables::tables;
use super::uplink::{Discovered, Uplink};
use crate::config::{Config, OwnSource, Ranges};

/// One sentence without a full stop. `uplinks` are those that the plan was made for.
pub fn reason(config: &Config, uplinks: &[Uplink], op: &Op) -> String {
    let names = Names { config, uplinks };
    match op {
        Op::LoosenRpFilter(change) => format!(
            "strict reverse-path filtering on {} drops requests to addresses of other uplinks",
            change.device
        ),
        Op::RestoreRpFilter(change) => {
            format!(
                "prroute no longer manages the filter of {}: the old value is restored",
                change.device
            )
        }
        Op::ManageNeighbour(key) => names.gateway(key),
        Op::ReleaseNeighbour(key) => {
            format!("{} is no longer a gateway of {}", key.address, key.device)
        }
        Op::AddRoute(route) => names.route(route),
        Op::ReplaceRoute { new, .. } => format!("{}; it replaces another one", names.route(new)),
        Op::DeleteRoute(route) => names.no_route(route),
        Op::AddRule(rule) => format!("{}{}", names.rule(rule), names.in_spite(rule)),
        Op::DeleteRule(rule) => names.no_rule(rule),
    }
}

struct Names<'a> {
    config: &'a Config,
    uplinks: &'a [Uplink],
}

impl Names<'_> {
    const fn ranges(&self) -> Ranges {
        self.config.ranges
    }

    /// Why there is a rule although the configuration would have none.
    fn in_spite(&self, rule: &Rule) -> String {
        let family = rule.family;
        if self.config.own_source == OwnSource::Rules || rule.source.is_none() && rule.is_nop() {
            String::new()
        } else if OwnSources::in_force(self.uplinks).is_datapath(family) {
            "; a rule turns off the kernel's fast route lookups".to_owned()
        } else {
            format!("; main has no working {family} default route")
        }
    }

    /// The uplink whose table it is.
    fn of_table(&self, table: u32) -> &str {
        let subnets = tables(self.ranges(), self.uplinks);
        let of_subnet = |uplink: &&Uplink| {
            subnets.iter().any(|((id, _), number)| *id == uplink.id && *number == table)
        };
        let is_own = |uplink: &&Uplink| uplink.table(self.ranges()) == table;
        let uplink = self.uplinks.iter().find(|uplink| is_own(uplink) || of_subnet(uplink));
        uplink.map_or("a former uplink", |u| u.device.name.as_str())
    }

    fn gateway(&self, key: &NeighbourKey) -> String {
        let device = self.uplinks.iter().map(|u| &u.device).find(|d| d.ifindex == key.ifindex);
        let is_standby =
            |d: &Discovered| d.way_out.iter().all(|out| out.gateway != Some(key.address));
        let what = if device.is_some_and(is_standby) { "another gateway" } else { "the gateway" };
        format!("the kernel keeps {what} of {} resolved, so that no reply waits for it", key.device)
    }

    fn route(&self, route: &Route) -> String {
        let name = self.of_table(route.table);
        if route.kind == RouteKind::UNREACHABLE {
            return format!(
                "on-down = \"hold\": packets of {name} use no other uplink while its \
                            default route is missing"
            );
        }
        if route.table == self.ranges().table {
            let devices: Vec<_> = route.next_hops.iter().map(|hop| hop.device.as_str()).collect();
            return format!("shared addresses: default route over {}", devices.join(", "));
        }
        if !route.is_default_for_some() {
            return format!("{} is on the link of {name}", route.destination);
        }
        let sources = route.source.map(|net| format!(" for {net}")).unwrap_or_default();
        match route.next_hops.iter().find_map(|hop| hop.gateway) {
            Some(gateway) => format!("default route of {name}{sources}, by its gateway {gateway}"),
            None => format!("default route of {name}{sources}, which needs no gateway"),
        }
    }

    fn no_route(&self, route: &Route) -> String {
        let devices = || route.next_hops.iter().map(|hop| hop.device.as_str());
        if OwnSources::in_force(self.uplinks).is_datapath(route.family()) {
            return "no rule uses this table: own-source = \"datapath\"".to_owned();
        }
        match devices().next() {
            Some(device) if route.is_default_for_some() => {
                format!("{device} no longer has this default route, or is down")
            }
            Some(device) => {
                format!("{} is no longer on the link of {device}, or {device} is down", {
                    route.destination
                })
            }
            None => "on-down = \"hold\" no longer applies".to_owned(),
        }
    }

    fn rule(&self, rule: &Rule) -> String {
        let name = self.of_table(rule.table);
        let source = rule.source.map(|net| net.to_string()).unwrap_or_default();
        let destination = rule.destination.map(|net| net.to_string()).unwrap_or_default();
        let is_device = || rule.priority == self.ranges().rule_priority + offset::DEVICE;
        match (&rule.source, &rule.destination) {
            _ if rule.is_shortcut() => "packets with other sources skip these rules".to_owned(),
            _ if rule.is_nop() => self.nop(rule.priority).to_owned(),
            _ if rule.table == TABLE_LOCAL => {
                "what is local stays local: the kernel's own rule for that comes later".to_owned()
            }
            (Some(_), Some(_)) => format!(
                "packets from {name} to its own subnet {destination} leave by {name}: main may \
                 prefer another interface"
            ),
            (Some(_), None) if rule.suppress_prefix_length.is_some() => {
                format!(
                    "packets from {source} use main's routes that are more specific than a \
                         default route"
                )
            }
            (Some(_), None) if rule.table == TABLE_MAIN => {
                format!("packets from {source}, which is shared, use main's routes")
            }
            (Some(_), None) if rule.table == self.ranges().table => {
                format!(
                    "packets from {source}, which is shared, use this table if main has no \
                         route"
                )
            }
            (Some(_), None) => format!("packets from an address of {name} leave by {name}"),
            (None, _) if is_device() => {
                format!("packets of applications bound to {name} leave by its gateway")
            }
            (None, _) => format!(
                "`to` of [[uplink]] {name}: packets to {destination} leave by \
                                  {name}"
            ),
        }
    }

    const fn nop(&self, priority: u32) -> &'static str {
        match priority.checked_sub(self.ranges().rule_priority) {
            None => {
                "marks the priorities of prroute's rules for sources, before a rule that matches \
                 all packets"
            }
            Some(0) => {
                "rules that others add without a priority are put before this one, not between \
                 prroute's"
            }
            Some(_) => "target of the rules that skip others",
        }
    }

    fn no_rule(&self, rule: &Rule) -> String {
        match (rule.source, rule.destination, &rule.oif) {
            (source, ..)
                if OwnSources::in_force(self.uplinks).is_datapath(rule.family)
                    && (source.is_some() || rule.table == 0) =>
            {
                "no longer needed: own-source = \"datapath\"".to_owned()
            }
            _ if rule.table == 0 => "no longer needed: the rules that it skips or marks have \
                                     changed"
                .to_owned(),
            (Some(source), ..) => {
                format!("no longer needed: {source} is gone, or another rule serves it")
            }
            (None, Some(net), _) => {
                format!(
                    "no longer needed: {net} is served by another rule, or its uplink has no \
                         default route"
                )
            }
            (None, None, Some(device)) => {
                format!("no longer needed: {device} is served by another rule, or has another name")
            }
            (None, None, None) => "no longer needed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diff::diff;
    use super::super::fixture::{Host, two_networks, uplinks};
    use super::*;
    use crate::config::{OnDown, Pattern, Selector, UplinkConfig};
    use crate::state::desired::desire;
    use crate::state::saved_sysctls::SavedSysctls;

    fn reasons(config: &Config, host: &Host) -> Vec<String> {
        let uplinks = uplinks(config, &host.0);
        let desired = desire(config, &host.0, &uplinks, &SavedSysctls::default());
        let plan = diff(config, &desired, &host.0).unwrap();
        let mut reasons: Vec<_> = plan.ops.iter().map(|op| reason(config, &uplinks, op)).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    #[test]
    fn every_operation_has_a_reason_that_names_what_it_is_about() {
        let uplink = UplinkConfig {
            to: vec!["1.1.1.1/32".parse().unwrap()],
            on_down: Some(OnDown::Hold),
            ..UplinkConfig::new(Selector::Name(Pattern::new("eth1")))
        };
        let config = Config { uplinks: vec![uplink], bind_device: true, ..Config::default() };
        let host = two_networks()
            .address("lo", "198.51.100.1/32")
            .change("eth1", |link| link.rp_filter = Some(1));
        let reasons = reasons(&config, &host);
        for expected in [
            "192.168.2.0/24 is on the link of eth1",
            "packets from 198.51.100.1/32, which is shared, use this table if main has no route",
            "`to` of [[uplink]] eth1: packets to 1.1.1.1/32 leave by eth1",
            "packets of applications bound to eth0 leave by its gateway",
            "on-down = \"hold\": packets of eth1 use no other uplink while its default route is \
             missing",
            "shared addresses: default route over eth1",
            "strict reverse-path filtering on eth1 drops requests to addresses of other uplinks",
            "the kernel keeps the gateway of eth1 resolved, so that no reply waits for it",
            "default route of eth0, by its gateway 192.168.1.1",
            "packets from an address of eth1 leave by eth1",
            "packets from 192.168.2.0/24 use main's routes that are more specific than a default \
             route",
        ] {
            assert!(reasons.iter().any(|reason| reason == expected), "{expected}: {reasons:#?}");
        }
        assert!(reasons.iter().all(|reason| !reason.contains("gone")), "{reasons:#?}");
    }

    #[test]
    fn what_goes_has_a_reason_too() {
        let host = two_networks();
        let config = Config::default();
        let uplinks = uplinks(&config, &host.0);
        let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
        let plan = diff(&config, &desired, &host.0).unwrap().inverse();
        for op in &plan.ops {
            let reason = reason(&config, &uplinks, op);
            assert!(reason.contains("no longer"), "{op}: {reason}");
        }
    }
}
