//! Files of `/etc/sysconfig/network-scripts`: `rule-eth1`, `route-eth1`, `ifcfg-eth1`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::model::{Device, Hop, Kind, Place, Route, Setup, Table};
use super::unread::{Subject, table_unless_hidden};
use super::words::{self, Context};
use crate::family::Family;
use crate::state::observed::RouteExtras;

/// What a file of this kind is about, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Rules(Family),
    Routes(Family),
    Interface,
}

impl Part {
    /// What a line that is not read is about.
    fn subject(self, words: &[String]) -> Subject {
        match self {
            Self::Rules(family) => Subject::rule(words, Some(family)),
            Self::Routes(family) => Subject::route(words, Some(family), table_unless_hidden(words)),
            Self::Interface => Subject::Other,
        }
    }
}

/// The part and the interface that a file's name says.
pub(super) fn part(file: &str) -> Option<(Part, &str)> {
    let (kind, device) = file.split_once('-')?;
    let part = match kind {
        "rule" => Part::Rules(Family::V4),
        "rule6" => Part::Rules(Family::V6),
        "route" => Part::Routes(Family::V4),
        "route6" => Part::Routes(Family::V6),
        "ifcfg" => Part::Interface,
        _ => return None,
    };
    // What editors and package managers leave beside a file.
    let is_copy = ["~", ".bak", ".orig", ".rpmnew", ".rpmsave", ".old"];
    let is_one = !device.is_empty() && !is_copy.iter().any(|end| device.ends_with(end));
    is_one.then(|| (part, of_alias(device))).filter(|(_, device)| !device.is_empty())
}

/// The interface that has the addresses of an alias, `eth1:1`, which is no interface of its own.
fn of_alias(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

pub(super) fn read(name: &str, part: Part, device: &str, text: &str) -> Setup {
    let mut setup = Setup::default();
    let source: Arc<str> = name.into();
    // `NAME=VALUE`, with the line of each.
    let mut values: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let place = || Place { source: source.clone(), line: Some(number) };
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some((key, value)) = line.split_once('=')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            values.insert(key, (number, value));
            continue;
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let read = match part {
            Part::Rules(family) => {
                words::rule(&words, family, place()).map(|rule| setup.rules.push(rule))
            }
            Part::Routes(family) => {
                let device = Some(Device::Name(device.to_owned()));
                let context = Context { family, table: Table::MAIN, device };
                words::route(&words, context, place()).map(|route| setup.routes.push(route))
            }
            Part::Interface => Err("this is no `NAME=VALUE`".to_owned()),
        };
        if let Err(why) = read {
            setup.miss_of(place(), part.subject(&words), why);
        }
    }
    let place = |line: usize| Place { source: source.clone(), line: Some(line) };
    match part {
        Part::Routes(_) => old_routes(&values, device, place, &mut setup),
        Part::Interface => interface(&values, device, place, &mut setup),
        Part::Rules(_) => {
            for (line, _) in values.values() {
                setup.miss(place(*line), "this is no rule as `ip rule` takes it");
            }
        }
    }
    setup
}

type Values<'a> = BTreeMap<&'a str, (usize, String)>;

/// `ADDRESS0=`, `NETMASK0=`, `GATEWAY0=`: routes of main.
fn old_routes(
    values: &Values<'_>,
    device: &str,
    place: impl Fn(usize) -> Place,
    setup: &mut Setup,
) {
    for (key, (line, address)) in values {
        let Some(number) = key.strip_prefix("ADDRESS") else { continue };
        let get =
            |name: &str| values.get(&*format!("{name}{number}")).map(|(_, value)| value.as_str());
        let net = get("NETMASK").and_then(|mask| net_of(address, Some(mask), None));
        let via = get("GATEWAY").and_then(|via| via.parse().ok());
        match net {
            Some(net) => setup.routes.push(Route {
                place: place(*line),
                table: Table::MAIN,
                destination: net.trunc(),
                source: None,
                kind: Kind::Unicast,
                hops: vec![Hop { via, device: Some(Device::Name(device.to_owned())) }],
                metric: 0,
                extras: RouteExtras::default(),
            }),
            None => setup.miss(place(*line), format!("`{key}={address}` has no NETMASK{number}")),
        }
    }
}

/// Addresses of an interface. Its `GATEWAY` is not read: whether main leads over it no file says for
/// sure (`DEFROUTE`, `GATEWAYDEV`, another interface's `GATEWAY` or DHCP decide, and who is up last).
fn interface(values: &Values<'_>, device: &str, place: impl Fn(usize) -> Place, setup: &mut Setup) {
    let name = of_alias(values.get("DEVICE").map_or(device, |(_, name)| name.as_str()));
    // Those of a range are in a file of their own, `ifcfg-eth1-range0`.
    let name = match values.contains_key("IPADDR_START") {
        true => name.split("-range").next().unwrap_or_default(),
        false => name,
    };
    let device = Device::Name(name.to_owned());
    for (key, (line, address)) in values {
        if of_manager(key, address, place(*line), setup) {
            continue;
        }
        let get = |name: &str| values.get(name).map(|(_, value)| value.as_str());
        let nets: Option<Vec<IpNet>> = match (*key, key.strip_prefix("IPADDR")) {
            (_, Some("_START")) => range(address, get),
            (_, Some("_END")) => continue,
            (_, Some(number)) => {
                let of_number = |name: &str| get(&format!("{name}{number}"));
                let net = net_of(address, of_number("NETMASK"), of_number("PREFIX"));
                net.map(|net| vec![net])
            }
            ("IPV6ADDR" | "IPV6ADDR_SECONDARIES", None) => {
                let all = address.split_whitespace();
                all.map(|address| net_of(address, None, None)).collect()
            }
            _ => continue,
        };
        match nets {
            Some(nets) => setup.addresses.extend(nets.into_iter().map(|net| (device.clone(), net))),
            None => setup.miss(place(*line), format!("`{key}={address}` is no address")),
        }
    }
}

/// The addresses from one to another, which differ in their last number.
fn range<'a>(start: &str, get: impl Fn(&str) -> Option<&'a str>) -> Option<Vec<IpNet>> {
    let (start, end): (Ipv4Addr, Ipv4Addr) =
        (start.parse().ok()?, get("IPADDR_END")?.parse().ok()?);
    let ([a, b, c, first], [.., last]) = (start.octets(), end.octets());
    if end.octets()[..3] != [a, b, c] || last < first {
        return None;
    }
    let all = (first..=last).map(|number| Ipv4Addr::new(a, b, c, number).to_string());
    all.map(|address| net_of(&address, get("NETMASK"), get("PREFIX"))).collect()
}

/// What NetworkManager writes there: rules, and the table of all routes of the connection. Whether the key is one of these.
fn of_manager(key: &str, value: &str, place: Place, setup: &mut Setup) -> bool {
    let (family, is_rule) = match key {
        "IPV4_ROUTE_TABLE" => (Family::V4, false),
        "IPV6_ROUTE_TABLE" => (Family::V6, false),
        _ if key.starts_with("ROUTING_RULE_") => (Family::V4, true),
        _ if key.starts_with("ROUTING_RULE6_") => (Family::V6, true),
        _ => return false,
    };
    if is_rule {
        let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        match words::rule(&words, family, place.clone()) {
            Ok(rule) => setup.rules.push(rule),
            Err(why) => setup.miss_of(place, Subject::rule(&words, Some(family)), why),
        }
        return true;
    }
    let table = Table::parse(value);
    // 0 is as if it were not there.
    if table != Some(Table::MAIN) && value != "0" && !value.is_empty() {
        let why = format!(
            "NetworkManager puts the connection's routes into table {value}, those that come by DHCP too: \
             import the running host instead"
        );
        setup.miss_of(place, Subject::Route { family: Some(family), table }, why);
    }
    true
}

/// An address with a prefix length, a netmask, or for itself alone.
fn net_of(address: &str, mask: Option<&str>, length: Option<&str>) -> Option<IpNet> {
    if address.contains('/') {
        return address.parse().ok();
    }
    let address: IpAddr = address.parse().ok()?;
    match (length, mask) {
        (Some(length), _) => IpNet::new(address, length.parse().ok()?).ok(),
        (None, Some(mask)) => IpNet::with_netmask(address, mask.parse().ok()?).ok(),
        (None, None) => Some(IpNet::from(address)),
    }
}

#[cfg(test)]
mod tests;
