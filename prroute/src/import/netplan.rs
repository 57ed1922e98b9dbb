//! netplan's `routes` and `routing-policy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::model::{Action, Device, Hop, Kind, Place, Route, Setup, Table, number};
use super::unread::{NO_INTERFACE, Subject, family_of};
use super::words::{empty_rule, mark, prefix};
use super::yaml::{self, Node, NotYaml};
use crate::family::Family;
use crate::state::observed::RouteExtras;

/// Kinds of interfaces, each with definitions by name.
const KINDS: [&str; 10] = [
    "ethernets",
    "wifis",
    "modems",
    "bonds",
    "bridges",
    "vlans",
    "tunnels",
    "dummy-devices",
    "virtual-ethernets",
    "nm-devices",
];

/// Files by name, in netplan's order: one may go on with what another says of an interface.
pub(super) fn read(files: &[(String, String)]) -> Setup {
    let mut setup = Setup::default();
    let mut definitions: Vec<(Arc<str>, String, Node)> = Vec::new();
    let mut identities: BTreeMap<String, Identity> = BTreeMap::new();
    for (name, text) in files {
        let source: Arc<str> = name.as_str().into();
        let documents = match yaml::read(text) {
            Ok(documents) => documents,
            Err(NotYaml { line, why }) => {
                setup.miss_of(Place { source, line: Some(line) }, Subject::Anything, why);
                continue;
            }
        };
        for network in documents.iter().filter_map(|document| document.get("network")) {
            for (kind, all) in network.entries() {
                let vrfs = all.entries().filter(|_| kind == "vrfs");
                for (_, vrf) in vrfs {
                    let place = Place { source: source.clone(), line: Some(vrf.line) };
                    let why = "a VRF has routes and rules of its own: they are not read";
                    let subject = Subject::Route { family: None, table: table_of(vrf, None) };
                    setup.miss_of(place, subject, why);
                }
                if KINDS.contains(&kind) {
                    for (id, node) in all.entries() {
                        identities.entry(id.to_owned()).or_default().add(kind, node);
                        definitions.push((source.clone(), id.to_owned(), node.clone()));
                    }
                }
            }
        }
    }
    for (source, id, node) in &definitions {
        let device = identities.get(id).and_then(|identity| identity.device(id));
        Definition { source, device, setup: &mut setup }.read(node);
    }
    setup
}

/// Which interface the definitions of one id are about.
#[derive(Default)]
struct Identity {
    /// The id is not its name.
    is_other: bool,
    new_name: Option<String>,
    name: Option<String>,
    mac: Option<String>,
    /// Something else is asked of it, as its driver.
    has_more: bool,
}

impl Identity {
    fn add(&mut self, kind: &str, node: &Node) {
        let text = |node: &Node| node.text().map(str::to_owned);
        // The id of a modem is that of its control port.
        self.is_other |= matches!(kind, "modems" | "nm-devices");
        if let Some(name) = node.get("set-name").and_then(text) {
            self.new_name = Some(name);
        }
        let Some(matches) = node.get("match") else { return };
        self.is_other = true;
        for (key, value) in matches.entries() {
            match key {
                "name" => self.name = text(value),
                "macaddress" => self.mac = text(value),
                _ => self.has_more = true,
            }
        }
    }

    /// `None`: only the host knows.
    fn device(&self, id: &str) -> Option<Device> {
        match &self.new_name {
            Some(name) => Some(Device::Name(name.clone())),
            None if !self.is_other => Some(Device::Name(id.to_owned())),
            None => Device::matched(self.name.as_deref(), self.mac.as_deref(), self.has_more),
        }
    }
}

/// The table that is named; `default` where none is.
fn table_of(node: &Node, default: Option<Table>) -> Option<Table> {
    match node.get("table") {
        Some(table) => table.text().and_then(Table::parse),
        None => default,
    }
}

/// What an entry that is not read is about.
fn subject(key: &str, node: &Node) -> Subject {
    let words: Vec<&str> =
        ["from", "to", "via"].iter().filter_map(|key| node.get(key).and_then(Node::text)).collect();
    let (family, table) = (family_of(&words), table_of(node, Some(Table::MAIN)));
    match key {
        "routes" => Subject::Route { family, table },
        _ => Subject::Rule {
            family,
            table,
            looks_at_marks: node.get("mark").or_else(|| node.get("fwmark")).is_some(),
        },
    }
}

/// What is said of one interface in one file.
struct Definition<'a> {
    source: &'a Arc<str>,
    /// `None`: which interface it is only the host knows.
    device: Option<Device>,
    setup: &'a mut Setup,
}

impl Definition<'_> {
    fn place(&self, node: &Node) -> Place {
        Place { source: self.source.clone(), line: Some(node.line) }
    }

    fn read(&mut self, node: &Node) {
        for item in node.get("addresses").map(Node::items).unwrap_or_default() {
            // Options of an address stand below it.
            let below = item.entries().next().map(|(address, _)| address);
            let address = item.text().or(below).unwrap_or_default();
            match address.parse::<IpNet>() {
                Ok(net) => {
                    let device = self.device.clone();
                    self.setup.addresses.extend(device.map(|device| (device, net)));
                }
                Err(_) => {
                    let place = self.place(item);
                    self.setup.miss(place, format!("`{address}` is no address"));
                }
            }
        }
        for key in ["gateway4", "gateway6"] {
            let Some(node) = node.get(key) else { continue };
            let via = node.text().unwrap_or_default();
            match via.parse() {
                Ok(via) => {
                    let place = self.place(node);
                    let hops = vec![Hop { via: Some(via), device: self.device.clone() }];
                    let destination = Family::of(&via).any();
                    self.setup.routes.push(Route {
                        place,
                        table: Table::MAIN,
                        destination,
                        source: None,
                        kind: Kind::Unicast,
                        hops,
                        metric: 0,
                        extras: RouteExtras::default(),
                    });
                }
                Err(_) => {
                    let place = self.place(node);
                    self.setup.miss(place, format!("`{via}` is no address"));
                }
            }
        }
        for key in ["routes", "routing-policy"] {
            for item in node.get(key).map(Node::items).unwrap_or_default() {
                let read = match key {
                    "routes" => self.read_route(item),
                    _ => self.read_rule(item),
                };
                if let Err(why) = read {
                    let place = self.place(item);
                    self.setup.miss_of(place, subject(key, item), format!("{key}: {why}"));
                }
            }
        }
    }

    fn read_route(&mut self, node: &Node) -> Result<(), String> {
        let (mut to, mut via) = (None, None);
        let (mut table, mut metric, mut kind) = (Table::MAIN, 0, Kind::Unicast);
        let mut extras = RouteExtras::default();
        for (key, value) in node.entries() {
            let text = value.text().ok_or_else(|| format!("`{key}` is no text"))?;
            let wrong = || format!("`{key}: {text}` is not understood");
            match key {
                "to" => to = Some(prefix(text).map_err(|_| wrong())?),
                "via" => {
                    let address: std::net::IpAddr = text.parse().map_err(|_| wrong())?;
                    via = Some(address).filter(|via| !via.is_unspecified());
                }
                "table" => table = Table::parse(text).ok_or_else(wrong)?,
                "metric" => metric = number(text).ok_or_else(wrong)?,
                "type" => kind = Kind::parse(text).ok_or_else(wrong)?,
                // The source that a route prefers.
                "from" => extras.source = Some(text.parse().map_err(|_| wrong())?),
                "mtu" | "advmss" => extras.add(key, text),
                "congestion-window" => extras.add("initcwnd", text),
                "advertised-receive-window" => extras.add("initrwnd", text),
                "on-link" | "scope" => {}
                _ => return Err(wrong()),
            }
        }
        let to = to.ok_or("no `to`")?;
        let family = via.or(extras.source).as_ref().map_or(Family::V4, Family::of);
        let destination = to.unwrap_or_else(|| {
            // `::/0` is told from `0.0.0.0/0` by its colons.
            let text = node.get("to").and_then(Node::text).unwrap_or_default();
            if text.contains(':') { Family::V6.any() } else { family.any() }
        });
        let hops = match kind {
            Kind::Refusal(_) | Kind::Throw => Vec::new(),
            _ if self.device.is_none() && table != Table::MAIN => {
                return Err(format!("table {table}: {NO_INTERFACE}"));
            }
            _ => vec![Hop { via, device: self.device.clone() }],
        };
        let place = self.place(node);
        let route = Route { place, table, destination, source: None, kind, hops, metric, extras };
        self.setup.routes.push(route);
        Ok(())
    }

    fn read_rule(&mut self, node: &Node) -> Result<(), String> {
        let mut rule = empty_rule(self.place(node), Family::V4);
        let mut table = None;
        for (key, value) in node.entries() {
            let text = value.text().ok_or_else(|| format!("`{key}` is no text"))?;
            let wrong = || format!("`{key}: {text}` is not understood");
            match key {
                "from" => rule.from = prefix(text).map_err(|_| wrong())?,
                "to" => rule.to = prefix(text).map_err(|_| wrong())?,
                "table" => table = Some(Table::parse(text).ok_or_else(wrong)?),
                "priority" => rule.priority = Some(number(text).ok_or_else(wrong)?),
                "mark" | "fwmark" => rule.mark = Some(mark(text).ok_or_else(wrong)?),
                "type-of-service" => rule.other.extend(["tos".to_owned(), text.to_owned()]),
                _ => return Err(wrong()),
            }
        }
        let named = rule.from.or(rule.to);
        rule.family = named.as_ref().map_or(Family::V4, Family::of_net);
        rule.action = Action::Lookup(table.unwrap_or(Table::MAIN));
        self.setup.rules.push(rule);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
