//! `.network` files of systemd-networkd, and their drop-ins.

mod section;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use self::section::{Key, Section, are_known, sections};
use super::model::{Action, Device, Hop, Kind, Place, Route, Rule, Setup, Table, number};
use super::unread::{NO_INTERFACE, Subject, family_of};
use super::words::{empty_rule, mark, prefix};
use crate::family::Family;
use crate::state::observed::RouteExtras;

/// A file, and which interface it and its drop-ins are about.
pub(super) fn read(files: &[(String, String)]) -> Setup {
    let mut setup = Setup::default();
    let parsed: Vec<(&str, Vec<Section>)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), sections(name, text, &mut setup)))
        .collect();
    for (name, sections) in &parsed {
        if !are_known(name, sections, &mut setup) {
            continue;
        }
        // A drop-in is about the interface of the file that it belongs to.
        let whole = owner(name);
        let of_owner = parsed.iter().find(|(name, _)| *name == whole).map(|(_, it)| &it[..]);
        let device = device(sections).or_else(|| device(of_owner.unwrap_or_default()));
        let mut file = File { source: (*name).into(), device, setup: &mut setup };
        for section in sections {
            if let Err((line, why)) = file.section(section) {
                let place = file.place(line);
                file.setup.miss_of(place, subject(section), why);
            }
        }
    }
    setup
}

/// `a.network` of `a.network.d/b.conf`.
fn owner(name: &str) -> String {
    let directory = Path::new(name).parent().and_then(Path::to_str).unwrap_or_default();
    directory.strip_suffix(".d").unwrap_or(name).to_owned()
}

/// The one interface that `[Match]` names.
fn device(sections: &[Section]) -> Option<Device> {
    let matches = sections.iter().filter(|section| section.name == "Match");
    let keys = || matches.clone().flat_map(|section| &section.keys);
    let one = |name: &str| {
        let mut values =
            keys().filter(|key| key.name == name).flat_map(|key| key.value.split_whitespace());
        let first = values.next()?;
        values.next().is_none().then_some(first)
    };
    let narrows = |key: &Key| {
        ["Driver", "Path", "Property", "Kind", "SSID", "BSSID"].contains(&key.name.as_str())
    };
    let mac = one("MACAddress").or_else(|| one("PermanentMACAddress"));
    Device::matched(one("Name"), mac, keys().any(narrows))
}

struct File<'a> {
    source: Arc<str>,
    /// `None`: which interfaces it is about only the host knows.
    device: Option<Device>,
    setup: &'a mut Setup,
}

type Wrong = (usize, String);

fn wrong(key: &Key) -> Wrong {
    (key.line, format!("`{}={}` is not understood", key.name, key.value))
}

/// What a section that is not read is about.
fn subject(section: &Section) -> Subject {
    let value =
        |name: &str| section.keys.iter().rfind(|key| key.name == name).map(|key| &*key.value);
    let table = |name: &str, default| value(name).map_or(default, Table::parse);
    let words: Vec<&str> =
        ["From", "To", "Destination", "Source", "Gateway"].into_iter().filter_map(value).collect();
    let family = family_of(&words);
    match section.name.as_str() {
        "RoutingPolicyRule" => Subject::Rule {
            family,
            table: table("Table", Some(Table::MAIN)),
            looks_at_marks: value("FirewallMark").is_some(),
        },
        "Route" => Subject::Route { family, table: table("Table", Some(Table::MAIN)) },
        "DHCPv4" => Subject::Route { family: Some(Family::V4), table: table("RouteTable", None) },
        "DHCPv6" | "IPv6AcceptRA" => {
            Subject::Route { family: Some(Family::V6), table: table("RouteTable", None) }
        }
        "DHCP" | "WireGuard" | "WireGuardPeer" => {
            Subject::Route { family: None, table: table("RouteTable", None) }
        }
        "VRF" => Subject::Route { family: None, table: table("Table", None) },
        _ => Subject::Other,
    }
}

/// The word of `ip route` for a key of `[Route]`.
fn extra(key: &str) -> Option<&'static str> {
    Some(match key {
        "MTUBytes" => "mtu",
        "HopLimit" => "hoplimit",
        "TCPAdvertisedMaximumSegmentSize" => "advmss",
        "TCPCongestionControlAlgorithm" => "congctl",
        "TCPRetransmissionTimeoutSec" => "rto_min",
        "InitialCongestionWindow" => "initcwnd",
        "InitialAdvertisedReceiveWindow" => "initrwnd",
        "QuickAck" => "quickack",
        "FastOpenNoCookie" => "fastopen_no_cookie",
        "TTLPropagate" => "ttl-propagate",
        _ => return None,
    })
}

/// A boolean as systemd takes it, in capitals or not.
fn boolean(key: &Key) -> Result<bool, Wrong> {
    match &*key.value.to_ascii_lowercase() {
        "1" | "yes" | "true" | "on" | "y" | "t" => Ok(true),
        "0" | "no" | "false" | "off" | "n" | "f" => Ok(false),
        _ => Err(wrong(key)),
    }
}

impl File<'_> {
    fn place(&self, line: usize) -> Place {
        Place { source: self.source.clone(), line: Some(line) }
    }

    fn section(&mut self, section: &Section) -> Result<(), Wrong> {
        match section.name.as_str() {
            "RoutingPolicyRule" => self.rule(section),
            "Route" => self.route(section),
            "Network" | "Address" => self.network(section),
            "DHCP" | "DHCPv4" | "DHCPv6" | "IPv6AcceptRA" => {
                match section.keys.iter().find(|key| key.name == "RouteTable") {
                    Some(key) => Err((
                        key.line,
                        format!(
                            "routes that come by DHCP or router advertisements are in table {}: \
                             they are known to the running host only",
                            key.value
                        ),
                    )),
                    None => Ok(()),
                }
            }
            "WireGuard" | "WireGuardPeer" => {
                let leads_in =
                    |key: &&Key| key.name == "RouteTable" && !boolean(key).is_ok_and(|yes| !yes);
                let why = "routes to what a peer may send are not read".to_owned();
                section.keys.iter().find(leads_in).map_or(Ok(()), |key| Err((key.line, why)))
            }
            "VRF" => Err((
                section.line,
                "a VRF has routes and rules of its own: they are not read".into(),
            )),
            _ => Ok(()),
        }
    }

    fn network(&mut self, section: &Section) -> Result<(), Wrong> {
        let Some(device) = self.device.clone() else { return Ok(()) };
        for key in &section.keys {
            match key.name.as_str() {
                "Address" if !key.value.is_empty() => {
                    let net = key.value.parse::<IpNet>();
                    let net = net.or_else(|_| key.value.parse::<IpAddr>().map(IpNet::from));
                    let net = net.map_err(|_| wrong(key))?;
                    self.setup.addresses.push((device.clone(), net));
                }
                "Gateway" if !key.value.is_empty() => {
                    let via: IpAddr = key.value.parse().map_err(|_| wrong(key))?;
                    let destination = Family::of(&via).any();
                    let hop = Hop { via: Some(via), device: Some(device.clone()) };
                    self.setup.routes.push(Route {
                        place: self.place(key.line),
                        table: Table::MAIN,
                        destination,
                        source: None,
                        kind: Kind::Unicast,
                        hops: vec![hop],
                        metric: 0,
                        extras: RouteExtras::default(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn route(&mut self, section: &Section) -> Result<(), Wrong> {
        let (mut to, mut via, mut source) = (None, None, None);
        let (mut table, mut metric, mut kind) = (Table::MAIN, 0, Kind::Unicast);
        let mut extras = RouteExtras::default();
        for key in &section.keys {
            let value = key.value.as_str();
            match key.name.as_str() {
                "Destination" => to = Some(prefix(value).map_err(|_| wrong(key))?),
                "Source" => source = prefix(value).map_err(|_| wrong(key))?,
                "Gateway" if value.starts_with('_') => {
                    let why = "its gateway is known to the running host only".to_owned();
                    return Err((key.line, format!("`Gateway={value}`: {why}")));
                }
                "Gateway" => {
                    let address: IpAddr = value.parse().map_err(|_| wrong(key))?;
                    via = Some(address).filter(|via| !via.is_unspecified());
                }
                "Table" => table = Table::parse(value).ok_or_else(|| wrong(key))?,
                "Metric" => metric = number(value).ok_or_else(|| wrong(key))?,
                "Type" => kind = Kind::parse(value).ok_or_else(|| wrong(key))?,
                "MultiPathRoute" | "NextHop" => {
                    return Err((key.line, format!("`{}=` is not read", key.name)));
                }
                "PreferredSource" if value != "no" => {
                    extras.source = Some(value.parse().map_err(|_| wrong(key))?);
                }
                "PreferredSource" | "GatewayOnLink" | "GatewayOnlink" | "IPv6Preference"
                | "Scope" | "Protocol" => {}
                name => extras.add(extra(name).ok_or_else(|| wrong(key))?, value),
            }
        }
        let of_text = section.keys.iter().any(|key| {
            matches!(&*key.name, "Destination" | "Source" | "Gateway") && key.value.contains(':')
        });
        let family = if of_text { Family::V6 } else { Family::V4 };
        let hops = match kind {
            Kind::Refusal(_) | Kind::Throw => Vec::new(),
            _ if self.device.is_none() && table != Table::MAIN => {
                return Err((section.line, format!("table {table}: {NO_INTERFACE}")));
            }
            _ => vec![Hop { via, device: self.device.clone() }],
        };
        self.setup.routes.push(Route {
            place: self.place(section.line),
            table,
            destination: to.flatten().unwrap_or_else(|| family.any()),
            source,
            kind,
            hops,
            metric,
            extras,
        });
        Ok(())
    }

    fn rule(&mut self, section: &Section) -> Result<(), Wrong> {
        let mut rule = empty_rule(self.place(section.line), Family::V4);
        let mut families = Vec::new();
        for key in &section.keys {
            let value = key.value.as_str();
            let other = |word: &str| [word.to_owned(), value.to_owned()];
            match key.name.as_str() {
                "From" => rule.from = prefix(value).map_err(|_| wrong(key))?,
                "To" => rule.to = prefix(value).map_err(|_| wrong(key))?,
                "Table" => {
                    rule.action = Action::Lookup(Table::parse(value).ok_or_else(|| wrong(key))?);
                }
                "Priority" => rule.priority = Some(number(value).ok_or_else(|| wrong(key))?),
                "FirewallMark" => rule.mark = Some(mark(value).ok_or_else(|| wrong(key))?),
                "IncomingInterface" => rule.iif = Some(value.to_owned()),
                "OutgoingInterface" => rule.oif = Some(value.to_owned()),
                "SuppressPrefixLength" => {
                    rule.suppress_prefix_length = Some(number(value).ok_or_else(|| wrong(key))?);
                }
                "InvertRule" => rule.invert = boolean(key)?,
                "Type" if value == "table" => {}
                "Type" => rule.action = Action::Other(value.to_owned()),
                "GoTo" => rule.action = Action::Other(format!("goto {value}")),
                "Family" => {
                    families = match value {
                        "ipv4" => vec![Family::V4],
                        "ipv6" => vec![Family::V6],
                        "both" => Family::BOTH.to_vec(),
                        _ => return Err(wrong(key)),
                    }
                }
                "TypeOfService" => rule.other.extend(other("tos")),
                "SourcePort" => rule.other.extend(other("sport")),
                "DestinationPort" => rule.other.extend(other("dport")),
                "IPProtocol" => rule.other.extend(other("ipproto")),
                "User" => rule.other.extend(other("uidrange")),
                "SuppressInterfaceGroup" => rule.other.extend(other("suppress_ifgroup")),
                "L3MasterDevice" if boolean(key)? => rule.other.push("l3mdev".to_owned()),
                "L3MasterDevice" => {}
                _ => return Err(wrong(key)),
            }
        }
        let six = section
            .keys
            .iter()
            .any(|key| matches!(&*key.name, "From" | "To") && key.value.contains(':'));
        if six {
            families = vec![Family::V6];
        } else if families.is_empty() {
            families.push(Family::V4);
        }
        for family in families {
            self.setup.rules.push(Rule { family, ..rule.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
