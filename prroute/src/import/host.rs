//! The rules and tables of the running host.

use std::collections::BTreeSet;
use std::sync::Arc;

use nix::libc;

use super::model::{Action, Device, Hop, Kind, Place, Route, Rule, Setup, Table};
use super::unread::Subject;
use crate::family::Family;
use crate::state::observed::{
    self, Observed, PROTOCOL, Rejection, RouteExtras, RouteKind, TABLE_DEFAULT, TABLE_LOCAL,
    TABLE_MAIN,
};

/// What stands where a file's name would.
pub(crate) const SOURCE: &str = "this host";

/// The tables whose routes [`read`] wants: those that rules of others look up, and main.
pub(crate) fn tables(observed: &Observed) -> BTreeSet<u32> {
    let foreign = observed.rules.iter().filter(|rule| rule.protocol != PROTOCOL);
    let tables = foreign.map(|rule| rule.table);
    let kernels = [0, TABLE_DEFAULT, TABLE_LOCAL];
    tables.filter(|table| !kernels.contains(table)).chain([TABLE_MAIN]).collect()
}

/// Whether a rule of others looks at marks.
pub(crate) fn uses_marks(observed: &Observed) -> bool {
    observed.foreign_rules_by_mark().next().is_some()
}

/// What others have set up; `routes` are all of [those tables](tables). What was not read whole is noted.
pub(crate) fn read(observed: &Observed, routes: &[(observed::Route, RouteExtras)]) -> Setup {
    let source: Arc<str> = SOURCE.into();
    let place = || Place { source: source.clone(), line: None };
    let mut setup = Setup { knows_addresses: true, ..Setup::default() };
    let foreign = observed.rules.iter().filter(|rule| rule.protocol != PROTOCOL);
    setup.rules = foreign.map(|found| rule(found, place())).collect();
    for (family, error) in &observed.unreadable_rules {
        let subject = Subject::Rule { family: Some(*family), table: None, looks_at_marks: true };
        setup.miss_of(place(), subject, format!("a rule cannot be read: {error}"));
    }
    if observed.unsteady {
        let why = "addresses, rules or routes changed while they were read: import again";
        setup.miss_of(place(), Subject::Anything, why);
    }
    for (found, extras) in routes.iter().filter(|(route, _)| route.protocol != PROTOCOL) {
        match route(found, extras_of(observed, found, extras), place()) {
            Some(route) => setup.routes.push(route),
            None => {
                let subject = Subject::Route {
                    family: Some(Family::of_net(&found.destination)),
                    table: Some(Table::Number(found.table)),
                };
                let why = format!("the route {found} is of a kind that is not known");
                setup.miss_of(place(), subject, why);
            }
        }
    }
    for address in observed.addresses.iter().filter(|address| address.scope_global) {
        if let Some(link) = observed.link(address.ifindex) {
            setup.addresses.push((Device::Name(link.name.clone()), address.net));
        }
    }
    setup
}

/// Takes down routes that could not be read: each may be of any table.
pub(crate) fn miss(setup: &mut Setup, unreadable: &[(Family, String)]) {
    for (family, error) in unreadable {
        let place = Place { source: SOURCE.into(), line: None };
        let subject = Subject::Route { family: Some(*family), table: None };
        setup.miss_of(place, subject, format!("a route cannot be read: {error}"));
    }
}

fn rule(rule: &observed::Rule, place: Place) -> Rule {
    let action = match (rule.goto, rule.refusal, rule.table) {
        (Some(priority), _, _) => Action::Other(format!("goto {priority}")),
        (None, Some(refusal), _) => Action::Other(refusal.to_string()),
        (None, None, 0) => Action::Other("nop".to_owned()),
        (None, None, table) => Action::Lookup(Table::Number(table)),
    };
    Rule {
        place,
        family: rule.family,
        priority: Some(rule.priority),
        invert: rule.invert,
        from: rule.source,
        to: rule.destination,
        mark: rule.mark,
        iif: rule.iif.clone(),
        oif: rule.oif.clone(),
        action,
        suppress_prefix_length: rule.suppress_prefix_length,
        other: Vec::new(),
        partial: rule.other,
    }
}

/// Without the interface's own MTU, which some programs give each route.
fn extras_of(observed: &Observed, route: &observed::Route, extras: &RouteExtras) -> RouteExtras {
    let mut extras = extras.clone();
    let links = route.next_hops.iter().filter_map(|hop| observed.link(hop.ifindex));
    let its: Vec<String> = links.map(|link| format!("mtu {}", link.mtu)).collect();
    extras.words.retain(|word| !its.contains(word));
    extras
}

fn route(route: &observed::Route, extras: RouteExtras, place: Place) -> Option<Route> {
    let kind = match route.kind {
        RouteKind::Unicast => Kind::Unicast,
        RouteKind::Other(libc::RTN_BLACKHOLE) => Kind::Refusal(Rejection::Blackhole),
        RouteKind::Other(libc::RTN_UNREACHABLE) => Kind::Refusal(Rejection::Unreachable),
        RouteKind::Other(libc::RTN_PROHIBIT) => Kind::Refusal(Rejection::Prohibit),
        RouteKind::Other(libc::RTN_THROW) => Kind::Throw,
        RouteKind::Other(
            libc::RTN_LOCAL | libc::RTN_BROADCAST | libc::RTN_ANYCAST | libc::RTN_MULTICAST,
        ) => Kind::Kernels,
        RouteKind::Other(_) => return None,
    };
    let hops = route.next_hops.iter();
    let hops = hops
        .map(|hop| Hop { via: hop.gateway, device: Some(Device::Name(hop.device.clone())) })
        .collect();
    let (table, metric) = (Table::Number(route.table), route.metric);
    let (destination, source) = (route.destination, route.source);
    Some(Route { place, table, destination, source, kind, hops, metric, extras })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Import, translate};
    use crate::state::fixture::Host;

    /// A rule for a source, one by a mark that iptables sets, and their tables.
    fn import(change: impl FnOnce(&mut Observed)) -> Import {
        let host = Host::new().nic("eth1").address("eth1", "10.0.1.2/24");
        let mut observed = host.default("eth1", "10.0.1.1", 0).0;
        let mut route = observed.routes.pop().unwrap();
        let mut routes = Vec::new();
        for (priority, table) in [(100, 101), (101, 102)] {
            let rule = observed::Rule::nop(Family::V4, priority);
            let rule = observed::Rule { table, protocol: 0, ..rule };
            observed.rules.push(match table {
                101 => observed::Rule { source: Some("10.0.1.2/32".parse().unwrap()), ..rule },
                _ => observed::Rule {
                    mark: Some(observed::Mark { value: 1, mask: u32::MAX }),
                    ..rule
                },
            });
            route.table = table;
            routes.push((route.clone(), RouteExtras::default()));
        }
        change(&mut observed);
        let mut setup = read(&observed, &routes);
        let marks = "*mangle\n-A PREROUTING -i eth1 -j CONNMARK --set-mark 1\nCOMMIT\n";
        setup.append(crate::import::of_iptables("iptables", marks));
        translate(&setup)
    }

    fn counts(import: &Import) -> [usize; 4] {
        [import.source_rules.len(), import.rules.len(), import.marks.len(), import.tables.len()]
    }

    #[test]
    fn all_that_was_read_whole_is_replaced() {
        let import = import(|_| {});
        assert_eq!((counts(&import), import.unread.len()), ([1, 1, 1, 2], 0), "{import:?}");
    }

    #[test]
    fn nothing_is_removed_of_what_changed_while_it_was_read() {
        let import = import(|observed| observed.unsteady = true);
        assert_eq!(counts(&import), [0; 4], "{import:?}");
        let said: Vec<_> = import.unread.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["this host: addresses, rules or routes changed while they were read: import again"]
        );
    }

    #[test]
    fn a_rule_that_cannot_be_decoded_may_look_up_any_table() {
        for (family, left) in [(Family::V4, [1, 1, 0, 0]), (Family::V6, [1, 1, 1, 2])] {
            let error = (family, "attribute 99 is not understood".to_owned());
            let import = import(|observed| observed.unreadable_rules = vec![error]);
            assert_eq!(counts(&import), left, "{import:?}");
            let said: Vec<_> = import.unread.iter().map(ToString::to_string).collect();
            assert_eq!(said, ["this host: a rule cannot be read: attribute 99 is not understood"]);
        }
    }

    #[test]
    fn a_route_has_what_it_says_beside_the_interfaces_own_mtu() {
        let host = Host::new().nic("eth1").default("eth1", "10.0.1.1", 0);
        let route = host.0.routes.last().unwrap().clone();
        for (word, left) in [("mtu 1500", 0), ("mtu 1400", 1), ("advmss 1500", 1)] {
            let extras = RouteExtras { words: vec![word.to_owned()], ..RouteExtras::default() };
            let setup = read(&host.0, &[(route.clone(), extras)]);
            assert_eq!(setup.routes[0].extras.words.len(), left, "{word}");
        }
    }
}
