//! Why an operation is in a plan, in an administrator's words.

use std::net::IpAddr;

use super::desired::offset;
use super::observed::{Route, RouteKind, Rule, TABLE_MAIN};
use super::own_source::OwnSources;
use super::plan::{NeighbourKey, Op};
use super::subnet_gateways::tables;
use super::uplink::Uplink;
use crate::config::{Config, OwnSource, Ranges};

/// One sentence without a full stop. `uplinks` are those that the plan was made for.
pub fn reason(config: &Config, uplinks: &[Uplink], op: &Op) -> String {
    let names = Names { config, uplinks };
    match op {
        Op::LoosenRpFilter(change) => format!(
            "strict filtering on {} drops requests to addresses of other uplinks",
            change.device
        ),
        Op::RestoreRpFilter(change) => {
            format!("{} is no uplink any more: its old value comes back", change.device)
        }
        Op::ManageNeighbour(key) => names.gateway(key),
        Op::ReleaseNeighbour(key) => {
            format!("{} is no gateway of {} any more", key.address, key.device)
        }
        Op::AddRoute(route) => names.route(route),
        Op::ReplaceRoute { new, .. } => format!("{}; another one is there", names.route(new)),
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

    /// What keeps own sources of all uplinks.
    fn own_source(&self) -> OwnSources {
        self.uplinks.first().map(|uplink| uplink.device.own_source).unwrap_or_default()
    }

    /// Why there is a rule although the configuration would have none.
    fn in_spite(&self, rule: &Rule) -> String {
        let family = rule.family;
        if self.config.own_source == OwnSource::Rules || rule.source.is_none() && rule.is_nop() {
            String::new()
        } else if self.own_source().is_datapath(family) {
            ", at the price of the kernel's fast lookups".to_owned()
        } else {
            format!(", as main has no {family} default route")
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
        uplink.map_or("an uplink that is gone", |u| u.device.name.as_str())
    }

    fn gateway(&self, key: &NeighbourKey) -> String {
        let device = self.uplinks.iter().map(|u| &u.device).find(|d| d.ifindex == key.ifindex);
        let chosen = |family_gateway: Option<IpAddr>| family_gateway == Some(key.address);
        let standby = device.is_some_and(|d| !chosen(d.gateway4) && !chosen(d.gateway6));
        let what = if standby { "another gateway" } else { "the gateway" };
        format!("{what} of {} is kept resolved, so that no reply waits for it", key.device)
    }

    fn route(&self, route: &Route) -> String {
        let name = self.of_table(route.table);
        if route.kind == RouteKind::UNREACHABLE {
            return format!("on-down = \"hold\": without a way out packets of {name} go nowhere");
        }
        if route.table == self.ranges().table {
            let devices: Vec<_> = route.next_hops.iter().map(|hop| hop.device.as_str()).collect();
            return format!("replies from shared addresses may leave by {}", devices.join(", "));
        }
        if !route.is_default_for_some() {
            return format!("{} is on the link of {name}", route.destination);
        }
        let sources = route.source.map(|net| format!(" for {net}")).unwrap_or_default();
        match route.next_hops.iter().find_map(|hop| hop.gateway) {
            Some(gateway) => format!("the way out of {name}{sources}: its gateway {gateway}"),
            None => format!("the way out of {name}{sources}: it needs no gateway"),
        }
    }

    fn no_route(&self, route: &Route) -> String {
        let devices = || route.next_hops.iter().map(|hop| hop.device.as_str());
        if self.own_source().is_datapath(route.family()) {
            return "no rule looks it up any more: the datapath keeps own sources".to_owned();
        }
        match devices().next() {
            Some(device) if route.is_default_for_some() => {
                format!("{device} has no such way out any more, or is not up")
            }
            Some(device) => {
                format!("{} is not on the link of {device} any more, or it is not up", {
                    route.destination
                })
            }
            None => "on-down is \"route\" here".to_owned(),
        }
    }

    fn rule(&self, rule: &Rule) -> String {
        let name = self.of_table(rule.table);
        let source = rule.source.map(|net| net.to_string()).unwrap_or_default();
        let destination = rule.destination.map(|net| net.to_string()).unwrap_or_default();
        let is_device = || rule.priority == self.ranges().rule_priority + offset::DEVICE;
        match (&rule.source, &rule.destination) {
            _ if rule.is_shortcut() => {
                "packets from elsewhere need not pass each of these rules".to_owned()
            }
            _ if rule.is_nop() => self.nop(rule.priority).to_owned(),
            (Some(_), Some(_)) => format!(
                "{name} answers its own subnet {destination} itself: main may prefer another \
                 interface"
            ),
            (Some(_), None) if rule.suppress_prefix_length.is_some() => {
                format!("what is more specific than a default route goes on to count for {source}")
            }
            (Some(_), None) if rule.table == TABLE_MAIN => {
                format!("{source} is shared: main decides")
            }
            (Some(_), None) if rule.table == self.ranges().table => {
                format!("{source} is shared: a way out where main has none")
            }
            (Some(_), None) => format!("what has a source address of {name} leaves by it"),
            (None, _) if is_device() => {
                format!("applications bound to {name} leave by its gateway")
            }
            (None, _) => format!("[[uplink]] {name}: to {destination}"),
        }
    }

    const fn nop(&self, priority: u32) -> &'static str {
        match priority.checked_sub(self.ranges().rule_priority) {
            None => {
                "keeps the place of the rules for sources, before a rule that catches everything"
            }
            Some(0) => {
                "what others add without a priority comes before our rules, not between them"
            }
            Some(_) => "where packets from elsewhere go on",
        }
    }

    fn no_rule(&self, rule: &Rule) -> String {
        match (rule.source, rule.destination, &rule.oif) {
            (source, ..)
                if self.own_source().is_datapath(rule.family)
                    && (source.is_some() || rule.table == 0) =>
            {
                "not needed any more: the datapath keeps own sources, main decides".to_owned()
            }
            _ if rule.table == 0 => "not needed any more: other rules are to be passed".to_owned(),
            (Some(source), ..) => {
                format!("not needed any more: {source} went, or goes by another rule")
            }
            (None, Some(net), _) => {
                format!("not needed any more: {net} goes by another rule, or has no way")
            }
            (None, None, Some(device)) => {
                format!("not needed any more: {device} goes by another rule, or has another name")
            }
            (None, None, None) => "not needed any more".to_owned(),
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
    use crate::sysctl::SavedSysctls;

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
            "198.51.100.1/32 is shared: a way out where main has none",
            "[[uplink]] eth1: to 1.1.1.1/32",
            "applications bound to eth0 leave by its gateway",
            "on-down = \"hold\": without a way out packets of eth1 go nowhere",
            "replies from shared addresses may leave by eth1",
            "strict filtering on eth1 drops requests to addresses of other uplinks",
            "the gateway of eth1 is kept resolved, so that no reply waits for it",
            "the way out of eth0: its gateway 192.168.1.1",
            "what has a source address of eth1 leaves by it",
            "what is more specific than a default route goes on to count for 192.168.2.0/24",
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
            assert!(reason.contains("any more"), "{op}: {reason}");
        }
    }
}
