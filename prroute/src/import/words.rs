//! The words of `ip rule` and `ip route`, which are those of ifcfg files, too.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Device, Hop, Kind, Place, Route, Rule, Table, number};
use crate::family::Family;
use crate::state::observed::{Mark, RouteExtras};

/// Words that stand before a value.
struct Words<'a> {
    rest: std::slice::Iter<'a, String>,
}

impl<'a> Words<'a> {
    fn new(words: &'a [String]) -> Self {
        Self { rest: words.iter() }
    }

    fn next(&mut self) -> Option<&'a str> {
        self.rest.next().map(String::as_str)
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.as_slice().first().map(String::as_str)
    }

    fn value(&mut self, of: &str) -> Result<&'a str, String> {
        self.next().ok_or_else(|| format!("nothing stands behind `{of}`"))
    }

    fn skip(&mut self, of: &str) -> Result<(), String> {
        self.value(of).map(|_| ())
    }

    fn number(&mut self, of: &str) -> Result<u32, String> {
        let word = self.value(of)?;
        number(word).ok_or_else(|| format!("`{of} {word}`: not a number"))
    }

    fn table(&mut self, of: &str) -> Result<Table, String> {
        let word = self.value(of)?;
        Table::parse(word).ok_or_else(|| format!("`{of} {word}`: not a table"))
    }

    fn prefix(&mut self, of: &str) -> Result<Option<IpNet>, String> {
        let word = self.value(of)?;
        prefix(word).map_err(|error| format!("`{of} {word}`: {error}"))
    }
}

/// A prefix without the bits behind its length; `None`: all addresses.
pub(super) fn prefix(word: &str) -> Result<Option<IpNet>, &'static str> {
    if matches!(word, "all" | "any" | "default") {
        return Ok(None);
    }
    let net = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| "neither an address nor a prefix")?.trunc();
    Ok((net.prefix_len() > 0).then_some(net))
}

/// A mark as `0x1/0xff`.
pub(super) fn mark(word: &str) -> Option<Mark> {
    let (value, mask) = match word.split_once('/') {
        Some((value, mask)) => (number(value)?, number(mask)?),
        None => (number(word)?, u32::MAX),
    };
    Some(Mark { value, mask })
}

/// A rule that says nothing yet.
pub(super) fn empty_rule(place: Place, family: Family) -> Rule {
    Rule {
        place,
        family,
        priority: None,
        invert: false,
        from: None,
        to: None,
        mark: None,
        iif: None,
        oif: None,
        action: Action::Lookup(Table::MAIN),
        suppress_prefix_length: None,
        other: Vec::new(),
        partial: false,
    }
}

/// What stands behind `ip rule add`; `family`: of a rule that names no address.
pub(super) fn rule(words: &[String], family: Family, place: Place) -> Result<Rule, String> {
    let mut rule = empty_rule(place, family);
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "not" => rule.invert = true,
            "from" => rule.from = words.prefix(word)?,
            "to" => rule.to = words.prefix(word)?,
            "iif" | "dev" => rule.iif = Some(words.value(word)?.to_owned()),
            "oif" => rule.oif = Some(words.value(word)?.to_owned()),
            "fwmark" => {
                let value = words.value(word)?;
                let mark = mark(value).ok_or_else(|| format!("`fwmark {value}`: not a mark"))?;
                rule.mark = Some(mark);
            }
            "pref" | "preference" | "priority" | "order" | "prio" => {
                rule.priority = Some(words.number(word)?);
            }
            "table" | "lookup" => rule.action = Action::Lookup(words.table(word)?),
            "type" | "unicast" | "[detached]" => {}
            "blackhole" | "unreachable" | "prohibit" | "nop" => {
                rule.action = Action::Other(word.to_owned());
            }
            "goto" => {
                rule.action = Action::Other(format!("goto {}", words.number(word)?));
                // Where a listing says that there is nothing to go on at.
                if words.peek() == Some("[unresolved]") {
                    words.skip(word)?;
                }
            }
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppress_prefix_length = Some(words.number(word)?);
            }
            "protocol" | "proto" => words.skip(word)?,
            "tos" | "dsfield" | "dscp" | "ipproto" | "sport" | "dport" | "uidrange" | "tun_id"
            | "realms" | "flowlabel" | "suppress_ifgroup" => {
                rule.other.extend([word.to_owned(), words.value(word)?.to_owned()]);
            }
            "l3mdev" | "[l3mdev-table]" => rule.other.push("l3mdev".to_owned()),
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    let mut nets = rule.from.iter().chain(&rule.to).map(Family::of_net);
    if let Some(first) = nets.next() {
        if nets.any(|other| other != first) {
            return Err("`from` and `to` are of two address families".to_owned());
        }
        rule.family = first;
    }
    Ok(rule)
}

/// Whether one value of a rule or route stands behind a word.
pub(super) fn takes_value(word: &str) -> bool {
    const OF_BOTH: [&str; 10] =
        ["from", "to", "dev", "iif", "oif", "table", "lookup", "proto", "protocol", "priority"];
    const OF_RULES: [&str; 10] = [
        "fwmark",
        "pref",
        "preference",
        "order",
        "prio",
        "goto",
        "ipproto",
        "sport",
        "dport",
        "uidrange",
    ];
    const OF_ROUTES: [&str; 7] = ["via", "inet", "inet6", "src", "metric", "scope", "mtu"];
    OF_BOTH.contains(&word) || OF_RULES.contains(&word) || OF_ROUTES.contains(&word)
}

/// Whether a line can be a route as `ip route` lists it.
pub(super) fn begins_route(word: &str) -> bool {
    Kind::parse(word).is_some() || word == "default" || prefix(word).is_ok_and(|net| net.is_some())
}

/// What is known of a route whose words do not say it.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) family: Family,
    pub(super) table: Table,
    pub(super) device: Option<Device>,
}

/// What stands behind `ip route add`, or a line of what `ip route` lists.
pub(super) fn route(words: &[String], context: Context, place: Place) -> Result<Route, String> {
    let Context { mut family, table, device } = context;
    let mut route = Route {
        place,
        table,
        destination: family.any(),
        source: None,
        kind: Kind::Unicast,
        hops: Vec::new(),
        metric: 0,
        extras: RouteExtras::default(),
    };
    let mut destination: Option<Option<IpNet>> = None;
    let mut hop = Hop { via: None, device: None };
    let (mut several, mut has_object) = (false, false);
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "to" => destination = Some(words.prefix(word)?),
            "from" => route.source = words.prefix(word)?,
            "via" => {
                let mut value = words.value(word)?;
                if matches!(value, "inet" | "inet6") {
                    value = words.value(word)?;
                }
                let via: IpAddr =
                    value.parse().map_err(|_| format!("`via {value}`: not an address"))?;
                hop.via = Some(via).filter(|via| !via.is_unspecified());
            }
            "dev" | "oif" => hop.device = Some(Device::Name(words.value(word)?.to_owned())),
            "table" => route.table = words.table(word)?,
            "metric" | "priority" | "preference" => route.metric = words.number(word)?,
            "nexthop" => {
                if several {
                    route.hops.push(hop);
                }
                several = true;
                hop = Hop { via: None, device: None };
            }
            "src" => {
                let value = words.value(word)?;
                let source = value.parse().map_err(|_| format!("`src {value}`: not an address"))?;
                route.extras.source = Some(source);
            }
            "proto" | "protocol" | "scope" | "pref" | "expires" | "weight" | "error" | "age" => {
                words.skip(word)?;
            }
            "mtu" | "tos" | "dsfield" | "advmss" | "rtt" | "rttvar" | "rto_min" | "window"
            | "cwnd" | "initcwnd" | "initrwnd" | "ssthresh" | "hoplimit" | "congctl"
            | "features" | "quickack" | "realms" | "reordering" | "fastopen_no_cookie" => {
                match words.value(word)? {
                    "lock" => route.extras.add(word, format_args!("lock {}", words.value("lock")?)),
                    value => route.extras.add(word, value),
                }
            }
            "nhid" => {
                words.skip(word)?;
                has_object = true;
            }
            "onlink" | "pervasive" | "linkdown" | "dead" | "offload" | "trap" | "rt_offload"
            | "cache" | "notify" => {}
            _ if destination.is_none() && Kind::parse(word).is_some() => {
                route.kind = Kind::parse(word).unwrap_or(Kind::Unicast);
            }
            _ if destination.is_none() => {
                let net = prefix(word).map_err(|_| format!("`{word}` is not understood"))?;
                destination = Some(net);
            }
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    if route.kind == Kind::Unicast || hop.device.is_some() || hop.via.is_some() {
        route.hops.push(hop);
    }
    for hop in &mut route.hops {
        if hop.device.is_none() {
            hop.device.clone_from(&device);
        }
    }
    let destination = destination.ok_or("no destination is named")?;
    // A default route is of its gateway's family.
    let via = route.hops.iter().find_map(|hop| hop.via);
    let of_via = via.filter(|_| destination.is_none() && route.source.is_none());
    family = of_via.as_ref().map_or(family, Family::of);
    family = route.source.as_ref().map_or(family, Family::of_net);
    route.destination = destination.unwrap_or_else(|| family.any());
    if matches!(route.kind, Kind::Refusal(_) | Kind::Throw) {
        route.hops.clear();
    } else if has_object && route.hops.iter().all(|hop| hop.via.is_none() && hop.device.is_none()) {
        return Err("which way its next hop object leads is not read".to_owned());
    }
    Ok(route)
}

#[cfg(test)]
mod tests;
