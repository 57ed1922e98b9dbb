//! Where a table leads: the uplink whose table it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Device, Hop, Kind, Route, Rule, Setup, Table};
use crate::family::Family;
use crate::state::observed::RouteMetrics;

/// The one way out of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) device: Device,
    /// Those of its default routes, the preferred one first; none where they lead to the link itself.
    pub(super) gateways: Vec<IpAddr>,
    /// Packets that cannot leave by it are refused.
    pub(super) holds: bool,
    /// What the table has on the link.
    pub(super) on_link: Vec<IpNet>,
    /// Sources that its routes prefer, and that an interface with other addresses may not get of itself.
    pub(super) sources: Vec<IpAddr>,
}

/// The way out of a table, and whether prroute's own table can take its place.
///
/// # Errors
///
/// Why it cannot, in half a sentence.
pub(super) fn way(setup: &Setup, family: Family, table: &Table) -> Result<Way, String> {
    let of_table = |route: &&Route| route.table == *table && route.family() == family;
    let routes: Vec<&Route> = setup.routes.iter().filter(of_table).collect();
    if routes.is_empty() {
        return Err(format!("no {family} route of table {table} was read"));
    }
    let (device, gateways) = defaults_of(setup, &routes, table)?;
    let mut way = Way { device, gateways, holds: false, on_link: Vec::new(), sources: Vec::new() };
    for route in routes {
        let is_mains = match route.is_default() {
            true => says_what_main_says(setup, route, &way),
            false => main_has(setup, route),
        };
        if let Some(word) = route.extras.words.first()
            && route.kind == Kind::Unicast
            && !is_mains
        {
            return Err(format!(
                "table {table} has `{word}` for `{route}` ({}), which prroute's routes have only where main's \
                 default route by the same way has it",
                route.place
            ));
        }
        if let Some(source) = route.extras.source
            && route.kind == Kind::Unicast
            && !way.sources.contains(&source)
            && !is_only_address(setup, source, table, &way.device)
        {
            way.sources.push(source);
        }
        match route.kind {
            Kind::Kernels => {}
            Kind::Throw => {
                return Err(format!(
                    "table {table} leaves what goes to {} to the next rules (`throw`), which \
                     prroute's tables do not",
                    route.destination
                ));
            }
            Kind::Refusal(_) if route.is_default() => way.holds = true,
            _ if route.is_default() => {}
            _ if is_on_link(setup, route, &way) => way.on_link.push(route.destination),
            _ if is_mains => {}
            Kind::Refusal(_) => {
                return Err(format!(
                    "table {table} refuses some destinations (`{route}`), and prroute's tables refuse no \
                     single prefix"
                ));
            }
            _ => {
                let source = route.extras.source.map(|source| format!(" src {source}"));
                return Err(format!(
                    "table {table} has a route to {}, and prroute's tables have none but default \
                     routes: it asks main for others, so give main that route (ip route add {route}{})",
                    route.destination,
                    source.unwrap_or_default()
                ));
            }
        }
    }
    Ok(way)
}

/// Where the default routes lead: over which interface, and to which gateways.
fn defaults_of(
    setup: &Setup,
    routes: &[&Route],
    table: &Table,
) -> Result<(Device, Vec<IpAddr>), String> {
    let defaults = routes.iter().filter(|route| route.is_default() && route.kind == Kind::Unicast);
    let mut defaults: Vec<&Route> = defaults.copied().collect();
    defaults.sort_by_key(|route| route.rank());
    let Some(first) = defaults.first() else {
        return Err(format!("table {table} has no default route"));
    };
    let device = device_of(setup, first);
    let is_elsewhere = |route: &&Route| route.hops.len() > 1 || device_of(setup, route) != device;
    if defaults.iter().any(is_elsewhere) {
        return Err(format!("table {table} leads over several interfaces"));
    }
    let device =
        device.ok_or_else(|| format!("it is not said which interface table {table} leads over"))?;
    let mut gateways = Vec::new();
    let vias = || defaults.iter().map(|route| route.hops.first().and_then(|hop| hop.via));
    for via in vias().flatten() {
        if !gateways.contains(&via) {
            gateways.push(via);
        }
    }
    if !gateways.is_empty() && vias().any(|via| via.is_none()) {
        return Err(format!("table {table} has default routes with a gateway and without one"));
    }
    Ok((device, gateways))
}

/// The interface of a route's first next hop.
fn device_of(setup: &Setup, route: &Route) -> Option<Device> {
    device_of_hop(setup, route.hops.first()?)
}

/// The interface of a next hop; where none is named, that of the gateway's link.
fn device_of_hop(setup: &Setup, hop: &Hop) -> Option<Device> {
    if hop.device.is_some() {
        return hop.device.clone();
    }
    let via = hop.via?;
    let by_address = setup
        .addresses
        .iter()
        .find(|(_, net)| net.prefix_len() < net.max_prefix_len() && net.contains(&via));
    if let Some((device, _)) = by_address {
        return Some(device.clone());
    }
    let mut links = setup.routes.iter().filter(|route| !route.is_default());
    links.find_map(|route| {
        let [hop] = &route.hops[..] else { return None };
        let is_link = hop.via.is_none() && route.destination.contains(&via);
        hop.device.clone().filter(|_| is_link)
    })
}

/// A route to neighbours on the way's interface: the interface's address says it as well.
fn is_on_link(setup: &Setup, route: &Route, way: &Way) -> bool {
    let [hop] = &route.hops[..] else { return false };
    let is_by_it = hop.device.as_ref().is_none_or(|device| *device == way.device);
    let is_link_local = |net: &IpNet| match net {
        IpNet::V6(net) => net.network().is_unicast_link_local() || net.network().is_multicast(),
        IpNet::V4(_) => false,
    };
    // Where addresses are known, one has to be in it; a gateway beyond the prefix has a route alone.
    let mut addresses = setup.addresses.iter();
    let has_address = addresses
        .any(|(device, net)| *device == way.device && route.destination.contains(&net.addr()));
    let mut gateways = way.gateways.iter();
    let is_gateways = gateways.any(|via| route.destination == IpNet::from(*via));
    let is_plausible =
        has_address || is_gateways || !setup.knows_addresses || is_link_local(&route.destination);
    route.kind == Kind::Unicast && hop.via.is_none() && is_by_it && is_plausible
}

/// Whether no other address of its family is known of the interface.
fn is_only_address(setup: &Setup, source: IpAddr, table: &Table, device: &Device) -> bool {
    let of_device = setup.addresses.iter().filter(|(its, _)| its == device);
    let of_device = of_device.map(|(_, net)| net.addr());
    // Rules for sources and routes to neighbours tell them, too.
    let looks_up = |rule: &&Rule| matches!(&rule.action, Action::Lookup(its) if its == table);
    let of_rules = setup.rules.iter().filter(looks_up).filter_map(|rule| rule.from);
    let of_rules = of_rules.filter(|net| net.prefix_len() == net.max_prefix_len());
    let of_links = setup.routes.iter().filter_map(|route| match &route.hops[..] {
        [hop] if hop.via.is_none() && hop.device.as_ref() == Some(device) => {
            route.extras.source.filter(|source| route.destination.contains(source))
        }
        _ => None,
    });
    let family = Family::of(&source);
    let mut all = of_device.chain(of_rules.map(|net| net.addr())).chain(of_links);
    let mut is_known = false;
    all.all(|address| {
        is_known |= address == source;
        address == source || Family::of(&address) != family
    }) && is_known
}

/// Whether main sends to the same destinations by the same way.
fn main_has(setup: &Setup, route: &Route) -> bool {
    setup.routes.iter().any(|other| {
        other.table == Table::MAIN
            && other.destination == route.destination
            && other.kind == route.kind
            && other.hops == route.hops
            && other.extras.words == route.extras.words
    })
}

/// Whether main has default routes by the same way, and prefers the same gateways to all others there: then they need no
/// word.
pub(super) fn main_leads(setup: &Setup, family: Family, way: &Way) -> bool {
    let vias: Vec<Option<IpAddr>> = match way.gateways.is_empty() {
        true => vec![None],
        false => way.gateways.iter().copied().map(Some).collect(),
    };
    let Some(theirs) = mains_over(setup, family, &way.device) else { return false };
    // Of two with one metric either may be the first.
    let mut pairs = theirs.windows(2).take(vias.len());
    setup.unread_route(family, &Table::MAIN).is_none()
        && theirs.len() >= vias.len()
        && theirs.iter().zip(&vias).all(|((_, via), wanted)| via == wanted)
        && pairs.all(|pair| matches!(pair, [(first, _), (second, _)] if first != second))
}

/// Where main's default routes over an interface lead, each once, the preferred one first, with their metrics; `None` where
/// that is not known for sure.
fn mains_over(
    setup: &Setup,
    family: Family,
    device: &Device,
) -> Option<Vec<(u32, Option<IpAddr>)>> {
    let mut found = Vec::new();
    for route in mains_defaults(setup, family).filter(|route| route.kind == Kind::Unicast) {
        for hop in &route.hops {
            if device_of_hop(setup, hop)? == *device {
                if !is_there(setup, route) {
                    return None;
                }
                found.push((route.rank(), hop.via));
            }
        }
    }
    found.sort_unstable();
    let mut known = BTreeSet::new();
    found.retain(|(_, via)| known.insert(*via));
    Some(found)
}

fn mains_defaults(setup: &Setup, family: Family) -> impl Iterator<Item = &Route> {
    setup.routes.iter().filter(move |route| {
        route.table == Table::MAIN && route.family() == family && route.is_default()
    })
}

/// Of what files say with one metric only one comes to be; the kernel lists what is there.
fn is_there(setup: &Setup, route: &Route) -> bool {
    let is_other = |it: &Route| it.rank() == route.rank() && it.hops != route.hops;
    route.place.line.is_none() || !mains_defaults(setup, route.family()).any(is_other)
}

/// Main's default route by the same way.
fn mains<'a>(
    setup: &'a Setup,
    family: Family,
    via: Option<IpAddr>,
    device: &Device,
) -> Option<&'a Route> {
    let is_by_it = |route: &Route| {
        let mut hops = route.hops.iter();
        hops.any(|hop| hop.via == via && hop.device.as_ref() == Some(device))
    };
    mains_defaults(setup, family)
        .find(|route| route.kind == Kind::Unicast && is_by_it(route) && is_there(setup, route))
}

/// Whether prroute's default route says of connections what this one says: it takes that from main's.
fn says_what_main_says(setup: &Setup, route: &Route, way: &Way) -> bool {
    let is_taken = |word: &String| {
        let name = word.split(' ').next().unwrap_or_default();
        name == "lock" || RouteMetrics::has_name(name)
    };
    let via = route.hops.first().and_then(|hop| hop.via);
    let main = mains(setup, route.family(), via, &way.device);
    main.is_some_and(|main| main.extras.words == route.extras.words)
        && route.extras.words.iter().all(is_taken)
}
