//! netplan's `routes` and `routing-policy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::model::{Action, Device, Hop, Kind, Place, Route, Setup, Table, number};
use super::unread::{Subject, family_of};
use super::words::{empty_rule, mark, prefix};
use super::yaml::{self, Node, NotYaml};
use crate::family::Family;

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
                    let all = all.entries();
                    definitions.extend(
                        all.map(|(id, node)| (source.clone(), id.to_owned(), node.clone())),
                    );
                }
            }
        }
    }
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    for (_, id, node) in &definitions {
        if let Some(device) = device(node) {
            devices.insert(id.clone(), device);
        }
    }
    for (source, id, node) in &definitions {
        let device = devices.get(id).cloned().unwrap_or_else(|| Device::Name(id.clone()));
        Definition { source, device, setup: &mut setup }.read(node);
    }
    setup
}

/// The interface that a definition is about, where that is not its name.
fn device(node: &Node) -> Option<Device> {
    let text = |node: &Node| node.text().map(str::to_owned);
    if let Some(name) = node.get("set-name").and_then(text) {
        return Some(Device::Name(name));
    }
    let matches = node.get("match")?;
    match (matches.get("name").and_then(text), matches.get("macaddress").and_then(text)) {
        (Some(name), _) => Some(Device::Name(name)),
        (None, mac) => mac.map(Device::Mac),
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
    device: Device,
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
                Ok(net) => self.setup.addresses.push((self.device.clone(), net)),
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
                    let hops = vec![Hop { via: Some(via), device: Some(self.device.clone()) }];
                    let destination = Family::of(&via).any();
                    self.route(place, Table::MAIN, destination, Kind::Unicast, hops, 0);
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

    fn route(
        &mut self,
        place: Place,
        table: Table,
        destination: IpNet,
        kind: Kind,
        hops: Vec<Hop>,
        metric: u32,
    ) {
        let source = None;
        self.setup.routes.push(Route { place, table, destination, source, kind, hops, metric });
    }

    fn read_route(&mut self, node: &Node) -> Result<(), String> {
        let (mut to, mut via, mut source) = (None, None, None);
        let (mut table, mut metric, mut kind) = (Table::MAIN, 0, Kind::Unicast);
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
                "type" => {
                    kind = match text {
                        "unicast" => Kind::Unicast,
                        "unreachable" | "blackhole" | "prohibit" => Kind::Refusal,
                        "throw" => Kind::Throw,
                        "local" | "broadcast" | "anycast" | "multicast" => Kind::Kernels,
                        _ => return Err(wrong()),
                    }
                }
                // The source that a route prefers.
                "from" => source = text.parse::<std::net::IpAddr>().ok(),
                "on-link"
                | "scope"
                | "mtu"
                | "congestion-window"
                | "advertised-receive-window"
                | "advmss" => {}
                _ => return Err(wrong()),
            }
        }
        let to = to.ok_or("no `to`")?;
        let family = via.or(source).as_ref().map_or(Family::V4, Family::of);
        let destination = to.unwrap_or_else(|| {
            // `::/0` is told from `0.0.0.0/0` by its colons.
            let text = node.get("to").and_then(Node::text).unwrap_or_default();
            if text.contains(':') { Family::V6.any() } else { family.any() }
        });
        let hops = match kind {
            Kind::Refusal | Kind::Throw => Vec::new(),
            _ => vec![Hop { via, device: Some(self.device.clone()) }],
        };
        let place = self.place(node);
        self.route(place, table, destination, kind, hops, metric);
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
mod tests {
    use super::*;

    /// What a tool has written for a host in two subnets, and what another adds to it.
    const FIRST: &str = "\
network:
  version: 2
  ethernets:
    ens5:
      addresses:
      - 10.224.184.51/26
      dhcp4: false
      match:
        macaddress: 0a:93:1b:88:fa:fb
      routes:
      - table: 10
        to: 0.0.0.0/0
        via: 10.224.184.1
      - scope: link
        table: 10
        to: 10.224.184.0/26
        via: 0.0.0.0
      routing-policy:
      - from: 10.224.184.51
        table: 10
      set-name: private
";
    const SECOND: &str = "\
network:
  ethernets:
    ens5:
      routing-policy:
      - to: 192.0.2.14
        table: 10
";

    fn files(texts: &[&str]) -> Vec<(String, String)> {
        let names = ["a.yaml", "b.yaml"].map(str::to_owned);
        names.into_iter().zip(texts.iter().map(|&text| text.to_owned())).collect()
    }

    #[test]
    fn files_go_on_with_each_other() {
        let setup = read(&files(&[FIRST, SECOND]));
        assert_eq!(setup.unread, []);
        let rules: Vec<_> =
            setup.rules.iter().map(|rule| format!("{} {rule}", rule.place)).collect();
        assert_eq!(
            rules,
            [
                "a.yaml:19 from 10.224.184.51/32 lookup 10",
                "b.yaml:5 from all to 192.0.2.14/32 lookup 10"
            ]
        );
        let routes: Vec<_> = setup.routes.iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["default via 10.224.184.1 dev private", "10.224.184.0/26 dev private"]);
        assert_eq!(setup.addresses.len(), 1);
    }

    #[test]
    fn an_interface_without_a_name_is_known_by_its_mac_address() {
        let text = "network:\n  ethernets:\n    nic:\n      match: {macaddress: '02:00:00:00:00:01'}\n      gateway6: fe80::1\n";
        let setup = read(&files(&[text]));
        assert_eq!(setup.routes[0].to_string(), "default via fe80::1 dev 02:00:00:00:00:01");
        assert_eq!(setup.routes[0].family(), Family::V6);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        let text = "network:\n  ethernets:\n    a:\n      routing-policy:\n      - from: 10.0.0.1\n        tabel: 5\n  vrfs:\n    v: {table: 7}\n";
        let said: Vec<_> = read(&files(&[text])).unread.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said.contains(&"a.yaml:5: routing-policy: `tabel: 5` is not understood".to_owned()),
            "{said:?}"
        );
        let said = read(&files(&["network: [\n"])).unread;
        assert!(said[0].why.starts_with("not valid YAML"), "{said:?}");
    }
}
