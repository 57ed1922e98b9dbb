//! What becomes of one rule, and why it stays where prroute does not do its work.

use std::net::IpAddr;

use ipnet::IpNet;

use super::marks::Marking;
use super::model::{Action, Device, Rule, Setup, Table};
use super::tables::{Way, way};
use super::unread::Subject;
use crate::family::Family;
use crate::state::observed::Mark;

/// What becomes of a rule.
pub(super) enum Fate {
    /// The kernel's own.
    Kernels,
    Source(Way),
    Replaced(Way),
    Specific,
}

/// What becomes of a rule; an error says why it stays.
pub(super) fn fate(setup: &Setup, rule: &Rule) -> Result<Fate, String> {
    let says = |words: &str| Err(words.to_owned());
    let selects = rule.from.is_some()
        || rule.to.is_some()
        || rule.mark.is_some()
        || rule.iif.is_some()
        || rule.oif.is_some();
    if rule.partial || !rule.other.is_empty() {
        return says("it looks at what prroute never looks at (ports, protocols, users)");
    }
    let Action::Lookup(table) = &rule.action else {
        return says("it looks nothing up, and stays in force beside prroute");
    };
    if rule.invert {
        return says("it is about all packets but some (`not`), and stays in force beside prroute");
    }
    if table.is_kernels() {
        let bits = u32::from(rule.family.default_bits());
        let is_own = rule.to.is_none() && rule.mark.is_none() && rule.oif.is_none();
        return match rule.suppress_prefix_length {
            None if !selects => Ok(Fate::Kernels),
            Some(length) if *table == Table::MAIN && length <= bits && is_own => Ok(Fate::Specific),
            _ => Err(format!("it looks up {table}, and stays in force beside prroute")),
        };
    }
    if rule.suppress_prefix_length.is_some() {
        return says("it takes a part of a table only (`suppress_prefixlength`)");
    }
    if !selects {
        return says("it decides about every packet; prroute puts its rules for sources before it");
    }
    if let Some(unread) = setup.unread_route(rule.family, table) {
        return Err(match &unread.subject {
            Subject::Route { table: Some(_), .. } => {
                format!("a route of table {table} was not read: {}", unread.place)
            }
            _ => format!("a route that may be of table {table} was not read: {}", unread.place),
        });
    }
    let way = way(setup, rule.family, table)?;
    let own_iif = rule.iif.as_deref().filter(|iif| *iif != "lo");
    match (rule.mark, own_iif, &rule.oif, rule.from, rule.to) {
        (Some(mark), None, None, None, None) => {
            check_mark(setup, rule.family, mark, &way.device)?;
            Ok(Fate::Replaced(way))
        }
        (None, Some(iif), None, None, None) => match is_device(&way.device, iif) {
            true => Ok(Fate::Replaced(way)),
            false => Err(format!(
                "packets in transit that come in on {iif} leave by {}: prroute leaves such to main",
                way.device
            )),
        },
        (None, None, Some(oif), None, None) => match is_device(&way.device, oif) {
            true => Ok(Fate::Replaced(way)),
            false => Err(format!("packets bound to {oif} leave by {}", way.device)),
        },
        (None, None, None, Some(from), None) => {
            check_source(setup, from, &way)?;
            Ok(Fate::Source(way))
        }
        (None, None, None, None, Some(to)) => match check_destination(to) {
            Some(why) => Err(why),
            None => Ok(Fate::Replaced(way)),
        },
        _ => says("prroute chooses by one thing at a time: source, destination, or way in"),
    }
}

fn is_device(device: &Device, name: &str) -> bool {
    matches!(device, Device::Name(its) if its == name)
}

/// Whether a rule looks at the mark that is set.
pub(super) fn is_set_by(rule: &Rule, set: Mark) -> bool {
    rule.mark.is_some_and(|mark| set.value & mark.mask == mark.value)
}

/// Who sets the mark that a rule looks at.
fn check_mark(setup: &Setup, family: Family, mark: Mark, device: &Device) -> Result<(), String> {
    if let Some(unread) = setup.unread_marks(family) {
        return Err(format!("what may set this mark was not read: {}", unread.place));
    }
    let of_family = setup.marks.iter().filter(|rule| rule.family() == family);
    let setters = of_family.filter_map(|rule| match &rule.marking {
        Marking::Set { iif, mark: set } if set.value & mark.mask == mark.value => Some((rule, iif)),
        _ => None,
    });
    let mut is_set = false;
    for (rule, iif) in setters {
        is_set = true;
        match iif {
            _ if rule.selective => {
                return Err(format!("some packets only get this mark ({})", rule.place));
            }
            Some(iif) if is_device(device, iif) => {}
            Some(iif) => {
                return Err(format!(
                    "what comes in on {iif} gets this mark, and leaves by {device} ({})",
                    rule.place
                ));
            }
            None => {
                return Err(format!("what comes in anywhere gets this mark ({})", rule.place));
            }
        }
    }
    match is_set {
        true => Ok(()),
        false => {
            Err("no iptables rule that was read sets this mark: it is another program's".to_owned())
        }
    }
}

/// Whether the sources of a rule are addresses of the interface that it sends them by.
fn check_source(setup: &Setup, from: IpNet, way: &Way) -> Result<(), String> {
    let inside = || setup.addresses.iter().filter(|(_, net)| from.contains(&net.addr()));
    let is_there = |address: IpAddr| {
        let mut all = setup.addresses.iter();
        all.any(|(device, net)| *device == way.device && net.addr() == address)
    };
    if let Some((device, net)) = inside().find(|(_, net)| !is_there(net.addr())) {
        let (address, other) = (net.addr(), &way.device);
        return Err(format!(
            "{address} is an address of {device}: prroute sends what has it by {device}, not by {other}"
        ));
    }
    if inside().next().is_some() {
        return Ok(());
    }
    let is_address = from.prefix_len() == from.max_prefix_len();
    if setup.knows_addresses {
        return Err("this host has no such address: it decides about packets in transit, which \
                    prroute leaves to main"
            .to_owned());
    }
    match is_address || way.on_link.iter().any(|net| net.contains(&from)) {
        true => Ok(()),
        false => Err("it may be about packets in transit, which prroute leaves to main".to_owned()),
    }
}

/// Why a destination cannot stand in the configuration.
fn check_destination(to: IpNet) -> Option<String> {
    if to.prefix_len() <= Family::of_net(&to).default_bits() {
        return Some(format!("{to} counts as a default route: add a route to main instead"));
    }
    let is_odd = to.network().is_multicast() || to.network().is_loopback();
    is_odd.then(|| format!("{to} cannot be reached over an uplink"))
}
