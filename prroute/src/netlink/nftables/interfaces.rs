//! Rules that look at interfaces or addresses, and what they decide. Conditions by sets and maps are not
//! looked into.

use std::net::IpAddr;

use nix::libc;

use super::{HEADER, HEADERS, attributes, equals, number, text, value};

/// What a rule asks of a packet, where that is an interface or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// By name; with a star at its end: by the beginning of names.
    Input(String),
    InputIndex(u32),
    Output(String),
    OutputIndex(u32),
    Source(IpAddr),
    Destination(IpAddr),
}

/// What a rule does with a packet that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ruling {
    /// It counts, marks or logs.
    #[default]
    None,
    Drop,
    /// Accepts it, or lets another chain decide.
    Other,
    /// Translates addresses, which is done for a connection's first packet only.
    Translate,
}

/// A rule with at least one [`Subject`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterRule {
    /// As nft names it: `ip`, `ip6`, `inet`.
    pub family: &'static str,
    pub table: String,
    pub chain: String,
    pub handle: u64,
    /// No rule stands before it in its chain.
    pub is_first: bool,
    pub subjects: Vec<Subject>,
    /// It asks for something else as well, so that it is about some packets only.
    pub is_narrow: bool,
    pub ruling: Ruling,
}

/// What the expression before has loaded.
enum Loaded {
    Meta(u32),
    /// Of the network header: offset and length.
    Network(u32, u32),
    Other,
}

/// `NFTA_RULE_*`.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const HANDLE: u16 = 3;
const EXPRESSIONS: u16 = 4;

/// Family, table and chain of any rule.
pub(super) fn place(message: &[u8]) -> Option<(u8, String, String)> {
    let (family, rule) = (*message.get(HEADER)?, message.get(HEADERS..)?);
    Some((family, value(rule, TABLE).map(text)?, value(rule, CHAIN).map(text)?))
}

/// `None`: it asks for no interface and no address.
pub(super) fn rule(message: &[u8]) -> Option<FilterRule> {
    let rule = message.get(HEADERS..)?;
    let family = match i32::from(*message.get(HEADER)?) {
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        libc::NFPROTO_INET => "inet",
        _ => return None,
    };
    let handle = value(rule, HANDLE).and_then(|bytes| bytes.try_into().ok());
    let mut found = FilterRule {
        family,
        table: value(rule, TABLE).map(text)?,
        chain: value(rule, CHAIN).map(text)?,
        handle: handle.map_or(0, u64::from_be_bytes),
        ..FilterRule::default()
    };
    let mut loaded = None;
    for (_, expression) in attributes(value(rule, EXPRESSIONS)?) {
        loaded = found.pass(expression, loaded.take());
    }
    (!found.subjects.is_empty()).then_some(found)
}

impl FilterRule {
    /// Takes in one expression; what it loads.
    fn pass(&mut self, expression: &[u8], loaded: Option<Loaded>) -> Option<Loaded> {
        let name = value(expression, 1).and_then(|name| name.split(|byte| *byte == 0).next());
        let data = value(expression, 2).unwrap_or_default();
        match name.unwrap_or_default() {
            // `NFTA_META_KEY`; without a register to load to it sets something.
            b"meta" => return value(data, 1).and_then(|_| number(data, 2)).map(Loaded::Meta),
            b"payload" => return Some(payload(data)),
            b"cmp" => self.compare(loaded, equals(data)),
            b"counter" | b"log" | b"quota" | b"notrack" => {}
            b"immediate" => self.decide(verdict(data)),
            b"reject" => self.decide(Some(Ruling::Drop)),
            b"masq" | b"nat" | b"redir" | b"tproxy" => self.decide(Some(Ruling::Translate)),
            b"target" => self.decide(target(data)),
            // Conntrack, limits, sets, matches of iptables: all of them choose among packets.
            _ => self.is_narrow = true,
        }
        None
    }

    fn decide(&mut self, ruling: Option<Ruling>) {
        self.ruling = ruling.unwrap_or(self.ruling);
    }

    fn compare(&mut self, loaded: Option<Loaded>, wanted: Option<&[u8]>) {
        const NFPROTO: u32 = libc::NFT_META_NFPROTO as u32;
        const IIFNAME: u32 = libc::NFT_META_IIFNAME as u32;
        const OIFNAME: u32 = libc::NFT_META_OIFNAME as u32;
        const IIF: u32 = libc::NFT_META_IIF as u32;
        const OIF: u32 = libc::NFT_META_OIF as u32;
        let subject = match (loaded, wanted) {
            (Some(Loaded::Meta(NFPROTO)), Some(_)) => return,
            (Some(Loaded::Meta(IIFNAME)), Some(name)) => Some(Subject::Input(pattern(name))),
            (Some(Loaded::Meta(OIFNAME)), Some(name)) => Some(Subject::Output(pattern(name))),
            (Some(Loaded::Meta(IIF)), Some(index)) => word(index).map(Subject::InputIndex),
            (Some(Loaded::Meta(OIF)), Some(index)) => word(index).map(Subject::OutputIndex),
            (Some(Loaded::Network(offset, length)), Some(bytes)) => address(offset, length, bytes),
            _ => None,
        };
        match subject {
            Some(subject) => self.subjects.push(subject),
            None => self.is_narrow = true,
        }
    }
}

/// `NFTA_PAYLOAD_BASE`, `NFTA_PAYLOAD_OFFSET` and `NFTA_PAYLOAD_LEN`.
fn payload(data: &[u8]) -> Loaded {
    const NETWORK: u32 = 1;
    match (number(data, 2), number(data, 3), number(data, 4)) {
        (Some(NETWORK), Some(offset), Some(length)) => Loaded::Network(offset, length),
        _ => Loaded::Other,
    }
}

/// Where the addresses are in a header of IPv4 and of IPv6.
fn address(offset: u32, length: u32, bytes: &[u8]) -> Option<Subject> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
    match (offset, length) {
        (12, 4) => v4().map(Subject::Source),
        (16, 4) => v4().map(Subject::Destination),
        (8, 16) => v6().map(Subject::Source),
        (24, 16) => v6().map(Subject::Destination),
        _ => None,
    }
}

/// Without a zero at its end it is the beginning of names.
fn pattern(name: &[u8]) -> String {
    if name.contains(&0) { text(name) } else { format!("{}*", text(name)) }
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// `NFTA_IMMEDIATE_DATA`, `NFTA_DATA_VERDICT`, `NFTA_VERDICT_CODE`.
fn verdict(data: &[u8]) -> Option<Ruling> {
    const DROP: u32 = libc::NF_DROP as u32;
    let code = number(value(value(data, 2)?, 2)?, 1)?;
    Some(if code == DROP { Ruling::Drop } else { Ruling::Other })
}

/// `NFTA_TARGET_NAME`: what iptables has no expression for.
fn target(data: &[u8]) -> Option<Ruling> {
    match value(data, 1).map(text)?.as_str() {
        "REJECT" | "DROP" => Some(Ruling::Drop),
        "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" => Some(Ruling::Translate),
        _ => None,
    }
}
