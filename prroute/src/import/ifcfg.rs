//! Files of `/etc/sysconfig/network-scripts`: `rule-eth1`, `route-eth1`, `ifcfg-eth1`.

use std::collections::BTreeMap;
use std::net::IpAddr;
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
    is_one.then_some((part, device))
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
    let name = values.get("DEVICE").map_or(device, |(_, name)| name.as_str());
    let device = Device::Name(name.to_owned());
    for (key, (line, address)) in values {
        if of_manager(key, address, place(*line), setup) {
            continue;
        }
        let net = match key.strip_prefix("IPADDR") {
            Some(number) => {
                let get = |name: &str| {
                    values.get(&*format!("{name}{number}")).map(|(_, value)| value.as_str())
                };
                net_of(address, get("NETMASK"), get("PREFIX"))
            }
            None if *key == "IPV6ADDR" => net_of(address, None, None),
            None => continue,
        };
        match net {
            Some(net) => setup.addresses.push((device.clone(), net)),
            None => setup.miss(place(*line), format!("`{key}={address}` is no address")),
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is_about() {
        assert_eq!(part("rule6-eth1"), Some((Part::Rules(Family::V6), "eth1")));
        assert_eq!(part("route-br-lan"), Some((Part::Routes(Family::V4), "br-lan")));
        for other in ["ifup-eth", "rule-eth1.rpmsave", "route-", "network", "keys-eth0"] {
            assert_eq!(part(other), None, "{other}");
        }
    }

    #[test]
    fn rules_and_routes_are_what_ip_takes() {
        let rules = read("rule-eth1", Part::Rules(Family::V4), "eth1", "fwmark 0x1 table eth1\n");
        assert_eq!(rules.rules[0].to_string(), "from all fwmark 0x1 lookup eth1");
        let text = "0.0.0.0/0 via 10.0.1.1 table eth1\n";
        let routes = read("route-eth1", Part::Routes(Family::V4), "eth1", text);
        assert_eq!(routes.routes[0].to_string(), "default via 10.0.1.1 dev eth1");
        assert_eq!((rules.unread, routes.unread), (vec![], vec![]));
    }

    #[test]
    fn the_older_form_is_read_too() {
        let text =
            "ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.1.1\nADDRESS1=10.8.0.0\n";
        let setup = read("route-eth1", Part::Routes(Family::V4), "eth1", text);
        assert_eq!(setup.routes[0].to_string(), "10.9.0.0/16 via 10.0.1.1 dev eth1");
        assert_eq!(
            setup.unread[0].to_string(),
            "route-eth1:4: `ADDRESS1=10.8.0.0` has no NETMASK1"
        );
    }

    #[test]
    fn an_interface_has_addresses_and_main_no_gateway_for_sure() {
        let text = "DEVICE=\"eth1\"\nBOOTPROTO=none\nIPADDR=10.0.1.2\nPREFIX=24\nGATEWAY=10.0.1.1\n\
                    IPADDR2=10.0.2.2\nNETMASK2=255.255.255.0\n";
        let setup = read("ifcfg-x", Part::Interface, "x", text);
        let nets: Vec<_> = setup.addresses.iter().map(|(_, net)| net.to_string()).collect();
        assert_eq!(nets, ["10.0.1.2/24", "10.0.2.2/24"]);
        assert_eq!((setup.routes, setup.unread), (vec![], vec![]));
    }

    #[test]
    fn rules_and_a_table_of_network_manager_are_read() {
        let text = "DEVICE=eth1\nROUTING_RULE_0=\"priority 5 from 10.7.0.9 table 200\"\n\
                    ROUTING_RULE_1='priority 6 fwmark 0x1 table 200'\n\
                    ROUTING_RULE6_0=\"priority 7 from ::/0 iif eth1 table 200\"\n\
                    ROUTING_RULE6_1=\"priority 8 from 2001:db8::9 tabel 201\"\n\
                    IPV4_ROUTE_TABLE=200\nIPV6_ROUTE_TABLE=254\n";
        let setup = read("ifcfg-eth1", Part::Interface, "eth1", text);
        let rules: Vec<_> =
            setup.rules.iter().map(|rule| format!("{:?} {rule}", rule.family)).collect();
        assert_eq!(
            rules,
            [
                "V6 priority 7 from all iif eth1 lookup 200",
                "V4 priority 5 from 10.7.0.9/32 lookup 200",
                "V4 priority 6 from all fwmark 0x1 lookup 200",
            ]
        );
        let unread: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
        assert_eq!(
            unread,
            [
                "ifcfg-eth1:6: NetworkManager puts the connection's routes into table 200, those that \
                 come by DHCP too: import the running host instead",
                "ifcfg-eth1:5: `tabel` is not understood",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        let setup =
            read("rule-eth1", Part::Rules(Family::V4), "eth1", "\nfwmark 0x1 tabel eth1\nA=1\n");
        let said: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "rule-eth1:2: `tabel` is not understood",
                "rule-eth1:3: this is no rule as `ip rule` takes it"
            ]
        );
    }
}
