//! Netfilter's rules as packets meet them: chains by hook and priority, with what their rules ask and
//! decide, and the elements of the sets that they ask.

use std::collections::BTreeSet;
use std::io;

use nix::libc;

use super::expression::{Expression, Verdict, expressions, verdict};
use super::{
    HEADER, HEADERS, MODULE, PATIENCE, Read, attributes, each, each_rule, is_loaded, number,
    of_nftables, request, text, value,
};

const GET_CHAIN: u16 = of_nftables(libc::NFT_MSG_GETCHAIN);
const NEW_CHAIN: u16 = of_nftables(libc::NFT_MSG_NEWCHAIN);
const GET_ELEMENTS: u16 = of_nftables(libc::NFT_MSG_GETSETELEM);
const NEW_ELEMENTS: u16 = of_nftables(libc::NFT_MSG_NEWSETELEM);

/// A table: its family as nft names it, and its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    pub family: &'static str,
    pub name: String,
}

/// `NF_INET_INGRESS`, also of tables of the family `netdev`: what comes in by an interface, behind tc.
pub const INGRESS: u32 = 5;
/// What leaves by an interface, before tc; this number is no hook of the kernel.
pub const EGRESS: u32 = 6;

/// Where packets meet a chain by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// `NF_INET_*`, [`INGRESS`] or [`EGRESS`].
    pub hook: u32,
    pub priority: i32,
    /// It sees the first packet of a connection only.
    pub is_nat: bool,
    /// What it marks is routed again.
    pub reroutes: bool,
    /// What no rule decides about is dropped.
    pub drops: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub table: Table,
    pub name: String,
    /// `None`: rules jump to it.
    pub base: Option<Base>,
    /// At [`INGRESS`] and [`EGRESS`] the interfaces; with `*` at the end all whose names begin so.
    pub devices: Vec<String>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub handle: u64,
    pub expressions: Vec<Expression>,
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    /// The last key of a range that has one of its own.
    pub last: Option<Vec<u8>>,
    /// It ends the range that the element before it begins.
    pub ends: bool,
    pub verdict: Option<Verdict>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub table: Table,
    pub name: String,
    pub elements: Vec<Element>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub chains: Vec<Chain>,
    pub sets: Vec<Set>,
    /// Why there may be more.
    pub unread: Option<String>,
}

/// What the calling thread's network namespace has. No module is loaded for it.
pub fn read() -> Ruleset {
    if !is_loaded(MODULE) {
        return Ruleset::default();
    }
    read_all().unwrap_or_else(|error| Ruleset {
        unread: Some(format!("read netfilter's rules: {error}")),
        ..Ruleset::default()
    })
}

fn read_all() -> io::Result<Ruleset> {
    let mut is_whole = true;
    let mut whole = |read: Read<_>| {
        is_whole &= read.is_whole;
        read.found
    };
    let mut chains: Vec<Chain> =
        whole(each(&request(GET_CHAIN, 0, &[]), NEW_CHAIN, PATIENCE, chain)?);
    let rules = each_rule(rule)?;
    is_whole &= rules.is_whole;
    for (table, name, rule) in rules.found {
        if let Some(chain) = chains.iter_mut().find(|it| it.table == table && it.name == name) {
            chain.rules.push(rule);
        }
    }
    let mut sets = Vec::new();
    for (table, name) in sets_asked(&chains) {
        let elements = elements_of(&table, &name)?;
        is_whole &= elements.is_whole;
        let elements = elements.found.into_iter().flatten().collect();
        sets.push(Set { table, name, elements });
    }
    let unread = (!is_whole)
        .then(|| format!("there are more rules than can be read in {} ms", PATIENCE.as_millis()));
    Ok(Ruleset { chains, sets, unread })
}

fn sets_asked(chains: &[Chain]) -> BTreeSet<(Table, String)> {
    let of_chain = |chain: &Chain| {
        let expressions = chain.rules.iter().flat_map(|rule| &rule.expressions);
        let names = expressions.filter_map(|expression| match expression {
            Expression::Lookup { set, .. } => Some(set.clone()),
            _ => None,
        });
        names.map(|name| (chain.table.clone(), name)).collect::<Vec<_>>()
    };
    chains.iter().flat_map(of_chain).collect()
}

const NETDEV: &str = "netdev";

const FAMILIES: [(libc::c_int, &str); 4] = [
    (libc::NFPROTO_IPV4, "ip"),
    (libc::NFPROTO_IPV6, "ip6"),
    (libc::NFPROTO_INET, "inet"),
    (libc::NFPROTO_NETDEV, NETDEV),
];

/// `None`: packets of IP do not meet it.
fn family(message: &[u8]) -> Option<&'static str> {
    let number = i32::from(*message.get(HEADER)?);
    FAMILIES.into_iter().find(|(family, _)| *family == number).map(|(_, name)| name)
}

fn chain(message: &[u8]) -> Option<Chain> {
    /// `NFTA_CHAIN_*`.
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    const DROP: u32 = libc::NF_DROP as u32;
    let chain = message.get(HEADERS..)?;
    let family = family(message)?;
    let is_of_type = |name: &str| value(chain, TYPE).map(text).as_deref() == Some(name);
    let hook = value(chain, HOOK);
    let base = hook.and_then(|hook| {
        Some(Base {
            hook: match (family, number(hook, 1)?) {
                // `NF_NETDEV_INGRESS`, `NF_NETDEV_EGRESS`.
                (NETDEV, 0) => INGRESS,
                (NETDEV, 1) => EGRESS,
                (NETDEV, _) => return None,
                (_, number) => number,
            },
            priority: number(hook, 2)?.cast_signed(),
            is_nat: is_of_type("nat"),
            reroutes: is_of_type("route"),
            drops: number(chain, POLICY) == Some(DROP),
        })
    });
    Some(Chain {
        table: Table { family, name: value(chain, TABLE).map(text)? },
        name: value(chain, NAME).map(text)?,
        base,
        devices: hook.map(devices).unwrap_or_default(),
        rules: Vec::new(),
    })
}

/// `NFTA_HOOK_DEVS`, or `NFTA_HOOK_DEV` of kernels that have one for each chain.
fn devices(hook: &[u8]) -> Vec<String> {
    const ONE: u16 = 3;
    const ALL: u16 = 4;
    /// `NFTA_DEVICE_*`.
    const NAME: u16 = 1;
    const PREFIX: u16 = 2;
    let device = |(kind, name): (u16, &[u8])| match kind {
        NAME => Some(text(name)),
        PREFIX => Some(text(name) + "*"),
        _ => None,
    };
    match value(hook, ALL) {
        Some(all) => attributes(all).filter_map(device).collect(),
        None => value(hook, ONE).map(text).into_iter().collect(),
    }
}

fn rule(message: &[u8]) -> Option<(Table, String, Rule)> {
    /// `NFTA_RULE_*`.
    const TABLE: u16 = 1;
    const CHAIN: u16 = 2;
    const HANDLE: u16 = 3;
    const EXPRESSIONS: u16 = 4;
    let rule = message.get(HEADERS..)?;
    let handle = value(rule, HANDLE).and_then(|bytes| bytes.try_into().ok());
    let table = Table { family: family(message)?, name: value(rule, TABLE).map(text)? };
    let mut expressions = value(rule, EXPRESSIONS).map(expressions).unwrap_or_default();
    if table.family == NETDEV {
        expressions.iter_mut().for_each(without_family);
    }
    let rule_of = Rule { handle: handle.map_or(0, u64::from_be_bytes), expressions };
    Some((table, value(rule, CHAIN).map(text)?, rule_of))
}

/// `meta nfproto` is that of the table at an interface, and not the packet's.
fn without_family(expression: &mut Expression) {
    const NFPROTO: u32 = libc::NFT_META_NFPROTO as u32;
    if let Expression::Meta { key: NFPROTO, to } = *expression {
        *expression = Expression::Value { value: vec![libc::NFPROTO_NETDEV as u8], to };
    }
}

/// An attribute with a text.
fn named(kind: u16, name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len() + 5).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn elements_of(table: &Table, set: &str) -> io::Result<Read<Vec<Element>>> {
    let number = FAMILIES.into_iter().find(|(_, name)| *name == table.family);
    let family = number.and_then(|(number, _)| u8::try_from(number).ok()).unwrap_or_default();
    // `NFTA_SET_ELEM_LIST_TABLE`, `NFTA_SET_ELEM_LIST_SET`.
    let which = [named(1, &table.name), named(2, set)].concat();
    each(&request(GET_ELEMENTS, family, &which), NEW_ELEMENTS, PATIENCE, |message| {
        // `NFTA_SET_ELEM_LIST_ELEMENTS`.
        let list = value(message.get(HEADERS..)?, 3)?;
        Some(attributes(list).filter_map(|(_, one)| element(one)).collect())
    })
}

/// `NFTA_SET_ELEM_*`.
fn element(bytes: &[u8]) -> Option<Element> {
    const KEY: u16 = 1;
    const DATA: u16 = 2;
    const FLAGS: u16 = 3;
    const KEY_END: u16 = 10;
    const INTERVAL_END: u32 = 1;
    const CATCH_ALL: u32 = 2;
    let flags = number(bytes, FLAGS).unwrap_or_default();
    let key = |kind| value(bytes, kind).and_then(|key| value(key, 1)).map(<[u8]>::to_vec);
    let verdict_of = |data| value(data, 2).map(verdict);
    Some(Element {
        key: match flags & CATCH_ALL {
            0 => key(KEY)?,
            _ => Vec::new(),
        },
        last: key(KEY_END),
        ends: flags & INTERVAL_END != 0,
        verdict: value(bytes, DATA).and_then(verdict_of),
    })
}

#[cfg(test)]
mod tests;
