use nix::libc::RTPROT_STATIC;

use super::super::desired::{Desired, desire};
use super::super::diff::diff;
use super::super::fixture::{Host, carry_out, net, rule, two_networks, uplinks};
use super::super::observed::{NeighbourState, TABLE_MAIN};
use super::*;
use crate::config::{Pattern, Selector, UplinkConfig};
use crate::state::saved_sysctls::SavedSysctls;

fn by_datapath() -> Config {
    Config { own_source: OwnSource::Datapath, ..Config::default() }
}

fn desired(config: &Config, host: &Host) -> Desired {
    desire(config, &host.0, &uplinks(config, &host.0), &SavedSysctls::default())
}

/// Without the default routes of a family.
fn without_default(mut host: Host, family: Family) -> Host {
    host.0.routes.retain(|route| !(route.is_default() && route.family() == family));
    host
}

fn with_to(destination: &str) -> Config {
    let to = vec![net(destination)];
    let eth1 = UplinkConfig { to, ..UplinkConfig::new(Selector::Name(Pattern::new("eth1"))) };
    Config { uplinks: vec![eth1], ..by_datapath() }
}

#[test]
fn with_default_routes_the_datapath_needs_no_rule_and_no_table() {
    let host = two_networks().address("lo", "198.51.100.1/32").address("lo", "2001:db8:9::1/128");
    let by_rules = desired(&Config::default(), &host);
    assert!(by_rules.rules.len() > 10 && by_rules.routes.len() > 8);
    let desired = desired(&by_datapath(), &host);
    assert_eq!((desired.rules.len(), desired.routes.len()), (0, 0));
    assert!(desired.places.is_empty());
    // What has nothing to do with sources is as it was.
    assert_eq!(desired.neighbours, by_rules.neighbours);
}

#[test]
fn strict_filters_are_loosened_all_the_same() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let loosen = |config: &Config| desired(config, &host).loosen;
    assert_eq!(loosen(&by_datapath()).len(), 1);
    assert_eq!(loosen(&by_datapath()), loosen(&Config::default()));
}

#[test]
fn a_family_without_a_default_route_in_main_keeps_its_rules_and_no_other_does() {
    for family in Family::BOTH {
        let host = without_default(two_networks().address("lo", "2001:db8:9::1/128"), family);
        let by_rules = desired(&Config::default(), &host);
        let desired = desired(&by_datapath(), &host);
        let of_family: BTreeSet<_> =
            by_rules.rules.into_iter().filter(|rule| rule.family == family).collect();
        assert!(!of_family.is_empty());
        assert_eq!(desired.rules, of_family);
        let routes: Vec<_> =
            by_rules.routes.into_iter().filter(|route| route.family() == family).collect();
        assert_eq!(desired.routes, routes);
    }
}

#[test]
fn halves_are_a_default_route_and_what_refuses_or_is_for_some_sources_is_none() {
    let none = without_default(two_networks(), Family::V4);
    let of = |host: &Host| OwnSources::of(&by_datapath(), &host.0, &Health::default());
    assert_eq!(of(&none).v4, OwnSource::Rules);
    assert!(of(&none).is_datapath(Family::V6));
    let none = none.route("eth0", "0.0.0.0/1", Some("192.168.1.1"));
    assert_eq!(of(&none).v4, OwnSource::Datapath);
    let elsewhere = without_default(two_networks(), Family::V6).route_with(
        "eth0",
        "::/0",
        Some("fe80::1"),
        100,
        0,
        RTPROT_STATIC,
    );
    assert_eq!(of(&elsewhere).v6, OwnSource::Rules, "in another table");
    let mut refuses = elsewhere.default("eth0", "fe80::1", 0);
    refuses.0.routes.last_mut().unwrap().kind = RouteKind::UNREACHABLE;
    assert_eq!(of(&refuses).v6, OwnSource::Rules);
    let last = refuses.0.routes.last_mut().unwrap();
    (last.kind, last.source) = (RouteKind::Unicast, Some(net("2001:db8:1::/64")));
    assert_eq!(of(&refuses).v6, OwnSource::Rules);
    assert_eq!(
        OwnSources::of(&Config::default(), &two_networks().0, &Health::default()),
        OwnSources::default()
    );
}

#[test]
fn rules_for_destinations_and_devices_are_alone() {
    let desired_to = desired(&with_to("1.1.1.1/32"), &two_networks());
    let rules: Vec<String> = desired_to.rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "priority 21000 from all nop protocol 213",
            "priority 21100 from all to 1.1.1.1/32 lookup 21002 protocol 213"
        ]
    );
    // The table of that uplink and family, and no other.
    assert!(desired_to.routes.iter().all(|r| (r.table, r.family()) == (21_002, Family::V4)));
    assert_eq!(desired_to.routes.len(), 2);

    let config = Config { bind_device: true, ..by_datapath() };
    let desired = desired(&config, &two_networks());
    let is_device = |rule: &Rule| rule.oif.is_some() || rule.is_nop();
    assert!(desired.rules.iter().all(is_device), "{:?}", desired.rules);
    assert_eq!(desired.rules.len(), 6);
    assert_eq!(desired.routes.len(), 8, "what they look up");
}

/// From one way to the other: what is added comes first, and a source's own table is not asked
/// without main's specific routes before it.
#[test]
fn a_change_takes_all_rules_in_an_order_that_breaks_nothing() {
    let mut host = two_networks();
    for config in [Config::default(), by_datapath(), Config::default()] {
        let desired = desired(&config, &host);
        let plan = diff(&config, &desired, &host.0).unwrap();
        let deletions = plan.ops.iter().skip_while(|op| op.is_addition());
        assert!(deletions.clone().all(|op| !op.is_addition()), "{plan}");
        let deleted: Vec<&Rule> = deletions
            .filter_map(|op| match op {
                super::super::plan::Op::DeleteRule(rule) => Some(rule),
                _ => None,
            })
            .collect();
        let is_last_first = |pair: &[&Rule]| {
            pair[0].family != pair[1].family || pair[0].priority >= pair[1].priority
        };
        assert!(deleted.windows(2).all(is_last_first), "{plan}");
        carry_out(&plan, &mut host.0);
        assert_eq!(host.0.rules.iter().any(|rule| rule.protocol == PROTOCOL), {
            config.own_source == OwnSource::Rules
        });
    }
}

#[test]
fn main_routes_are_facts_of_the_uplinks_they_lead_over() {
    let host = two_networks()
        .specific("eth0", "10.9.0.0/16", Some("192.168.1.9"))
        .specific("eth0", "10.9.1.0/24", None)
        .specific("eth1", "2001:db8:77::/48", Some("fe80::2"))
        .specific("eth1", "0.0.0.0/1", Some("192.168.2.1"))
        .link("docker0", Some("bridge"))
        .specific("docker0", "172.17.0.0/16", None);
    let routes = |config: &Config, host: &Host| -> Vec<Vec<ipnet::IpNet>> {
        let uplinks = uplinks(config, &host.0);
        uplinks.into_iter().map(|uplink| uplink.device.main_routes).collect()
    };
    assert_eq!(
        routes(&by_datapath(), &host),
        [vec![net("10.9.0.0/16"), net("10.9.1.0/24")], vec![net("2001:db8:77::/48")]]
    );
    assert_eq!(routes(&Config::default(), &host), [vec![], vec![]]);
    let host = without_default(host, Family::V6);
    assert_eq!(routes(&by_datapath(), &host)[1], [], "of families that the datapath keeps");
}

#[test]
fn multicast_and_link_local_routes_are_no_facts() {
    let host = two_networks()
        .specific("eth0", "224.0.0.0/4", None)
        .specific("eth0", "fe80::/64", None)
        .specific("eth0", "169.254.169.254/32", None);
    assert_eq!(host.0.main_routes.len(), 1);
    assert_eq!(host.0.routes.last().unwrap().table, TABLE_MAIN);
}

#[test]
fn what_rules_are_there_for_is_told() {
    let kernels = two_networks();
    assert_eq!(Cause::of(&kernels.0.rules, Family::V4), []);
    assert_eq!(Cause::of(&kernels.0.rules, Family::V6), []);
    let others = kernels.rule(5_270, "10.0.0.0/8", 52).rule(5_271, "10.0.0.0/8", 53);
    let config = Config { bind_device: true, ..with_to("1.1.1.1/32") };
    let accounts = |config: &Config, host: &Host| -> Vec<(String, Option<String>)> {
        let desired = desired(config, host).rules;
        let uplinks = uplinks(config, &host.0);
        let all = accounts(config, &host.0, &uplinks, &desired, Families::default());
        all.iter().map(|account| (account.to_string(), account.cost())).collect()
    };
    let said = accounts(&config, &without_default(others, Family::V6));
    let [(v4, cost4), (v6, cost6)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(v4, "own-source, IPv4: datapath");
    assert_eq!(
        cost4.as_deref(),
        Some(
            "IPv4: the kernel walks all rules for every forwarded packet, reverse-path check and \
             unconnected send, because there are rules: prroute's for `to`, prroute's for \
             bind-device, 2 of others (from priority 5270 on)"
        )
    );
    assert_eq!(v6, "own-source, IPv6: rules, because main has no default route that works");
    assert!(cost6.as_ref().unwrap().contains("prroute's for source addresses, "), "{cost6:?}");
    let said = accounts(&by_datapath(), &two_networks());
    assert_eq!(said[0], ("own-source, IPv4: datapath".to_owned(), None));
    let said = accounts(&Config::default(), &two_networks());
    assert_eq!(said[1].0, "own-source, IPv6: rules");
    assert!(said[1].1.is_some());
}

#[test]
fn a_kernels_rule_that_was_moved_is_one_of_others() {
    let mut host = two_networks();
    host.0.rules[0].priority = 100;
    assert_eq!(Cause::of(&host.0.rules, Family::V4), [Cause::Others { count: 1, first: 100 }]);
    let vrf = Rule { other: true, ..rule(Family::V6, 1000, None, 0, 2) };
    assert_eq!(Cause::of([&vrf], Family::V6), [Cause::Others { count: 1, first: 1000 }]);
}

#[test]
fn that_there_were_rules_is_not_forgotten() {
    let mut had = Families::default();
    note_rules(&mut had, &two_networks().0.rules);
    assert_eq!(had, Families::default());
    note_rules(&mut had, &desired(&with_to("1.1.1.1/32"), &two_networks()).rules);
    assert_eq!(had, Families { v4: true, v6: false });
    let (config, host) = (by_datapath(), two_networks());
    let all = accounts(&config, &host.0, &uplinks(&config, &host.0), &BTreeSet::new(), had);
    assert!(all[0].cost().unwrap().contains("until the next boot"));
    assert_eq!(all[1].cost(), None);
}

#[test]
fn rules_stand_in_while_what_main_prefers_leads_nowhere() {
    let of = |host: &Host| OwnSources::of(&by_datapath(), &host.0, &Health::default());
    let gateway = |state| two_networks().neighbour("eth0", "192.168.1.1", state);
    assert_eq!(of(&gateway(NeighbourState::Failed)).v4, OwnSource::Rules);
    for state in [NeighbourState::Incomplete, NeighbourState::Probing, NeighbourState::Resolved] {
        assert_eq!(of(&gateway(state)).v4, OwnSource::Datapath, "{state:?}");
    }
    let other = two_networks().neighbour("eth1", "192.168.2.1", NeighbourState::Failed);
    assert_eq!(of(&other).v4, OwnSource::Datapath, "main prefers eth0");
    assert_eq!(
        of(&two_networks().change("eth0", |link| link.carrier = false)).v4,
        OwnSource::Rules
    );
    assert_eq!(
        of(&two_networks().change("eth1", |link| link.carrier = false)).v4,
        OwnSource::Datapath
    );
}
