//! Addresses in a text by pseudonyms: the same address has the same one, wherever and however it is
//! written. They are numbers in the order of appearance, and tell nothing of the address but its kind.
//!
//! Addresses are looked for at the beginnings of words, the longest first, and read by the standard
//! library. What only looks like one (a version of four numbers) is replaced as well: rather too much
//! than too little.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// No address is longer: a link-layer address of InfiniBand has 20 bytes.
const LONGEST: usize = 59;

/// Prefixes that are the same everywhere.
const WELL_KNOWN: [&str; 15] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "224.0.0.0/24",
    "169.254.169.254/32",
    "2000::/3",
    "64:ff9b::/96",
    "fc00::/7",
    "fd00::/8",
    "fe80::/10",
    "fe80::/64",
    "ff00::/8",
];

#[derive(Debug, Default)]
pub(super) struct Pseudonyms {
    addresses: HashMap<IpAddr, String>,
    macs: HashMap<Vec<u8>, String>,
    /// How many there are of each kind.
    counts: BTreeMap<&'static str, usize>,
    /// Prefixes that the text names.
    prefixes: BTreeSet<IpNet>,
}

/// What is at a place of the text.
#[derive(Debug)]
enum Occurrence {
    Ip(IpAddr),
    Mac(Vec<u8>),
}

impl Pseudonyms {
    /// The text with pseudonyms.
    pub(super) fn replace(&mut self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            match find(text, at) {
                Some((found, end)) => {
                    replaced.push_str(&text[copied..at]);
                    let length = prefix_length(&text[end..]);
                    match self.name(found, length) {
                        Some(name) => replaced.push_str(&name),
                        None => replaced.push_str(&text[at..end]),
                    }
                    (at, copied) = (end, end);
                }
                None => at += 1,
            }
        }
        replaced.push_str(&text[copied..]);
        replaced
    }

    /// Which addresses share a prefix that the text named: without that no route can be understood.
    pub(super) fn neighbours(&self) -> String {
        let mut text = String::new();
        for prefix in &self.prefixes {
            let inside = self.addresses.iter().filter(|(address, _)| prefix.contains(*address));
            let mut names: Vec<&str> = inside.map(|(_, name)| name.as_str()).collect();
            if names.len() > 1 {
                names.sort_by_key(|name| (name.len(), *name));
                let (length, names) = (prefix.prefix_len(), names.join(" "));
                text.push_str(&format!("in one /{length}: {names}\n"));
            }
        }
        text
    }

    /// `None`: it is the same on every host, and stays.
    fn name(&mut self, found: Occurrence, length: Option<u8>) -> Option<String> {
        match found {
            Occurrence::Mac(bytes)
                if [0, 0xff].iter().any(|one| bytes.iter().all(|it| it == one)) =>
            {
                None
            }
            Occurrence::Mac(bytes) => {
                let counts = &mut self.counts;
                Some(self.macs.entry(bytes).or_insert_with(|| next(counts, "mac")).clone())
            }
            Occurrence::Ip(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
                let v4 = address.to_ipv4_mapped()?;
                let length = length.and_then(|length| length.checked_sub(96));
                self.name(Occurrence::Ip(v4.into()), length).map(|name| format!("::ffff:{name}"))
            }
            Occurrence::Ip(address) if is_well_known(address, length) => None,
            Occurrence::Ip(address) => {
                let net = length.and_then(|length| IpNet::new(address, length).ok());
                let is_wide = |net: &IpNet| net.prefix_len() < net.max_prefix_len();
                self.prefixes.extend(net.filter(is_wide).map(|net| net.trunc()));
                let counts = &mut self.counts;
                let name = || next(counts, kind(address));
                Some(self.addresses.entry(address).or_insert_with(name).clone())
            }
        }
    }
}

fn next(counts: &mut BTreeMap<&'static str, usize>, kind: &'static str) -> String {
    let count = counts.entry(kind).or_default();
    *count += 1;
    format!("{kind}-{count}")
}

const fn kind(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(address) if address.is_link_local() => "ipv4-link-local",
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(address) if address.is_unicast_link_local() => "ipv6-link-local",
        IpAddr::V6(_) => "ipv6",
    }
}

/// Loopback, unspecified, broadcast, masks, groups that every host joins, and prefixes that a standard
/// names.
fn is_well_known(address: IpAddr, length: Option<u8>) -> bool {
    let full = IpNet::from(address).max_prefix_len();
    let is_listed = || {
        let net = IpNet::new(address, length.unwrap_or(full)).ok();
        WELL_KNOWN.iter().any(|known| known.parse().ok() == net)
    };
    let (is_mask, is_of_all) = match address {
        IpAddr::V4(address) => (is_mask(address.to_bits().into(), 32), is_group4(address)),
        IpAddr::V6(address) => (is_mask(address.to_bits(), 128), is_group6(address)),
    };
    address.is_loopback() || address.is_unspecified() || is_mask || is_of_all || is_listed()
}

/// Ones, then zeros: a mask, or half of all addresses.
const fn is_mask(bits: u128, width: u32) -> bool {
    let ones = (bits << (128 - width)).leading_ones();
    ones > 0 && ones + bits.trailing_zeros() >= width
}

/// Of the local network control block.
const fn is_group4(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [224, 0, 0, _])
}

/// With a short number: those that are made of a host's address have a long one.
const fn is_group6(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0xff00..=0xff0f, 0, 0, 0, 0, 0, 0, _])
}

/// The number behind `/`.
fn prefix_length(rest: &str) -> Option<u8> {
    let rest = rest.strip_prefix('/')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The longest address that begins here, and where it ends.
fn find(text: &str, at: usize) -> Option<(Occurrence, usize)> {
    let bytes = text.as_bytes();
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'-');
    if !is_part(bytes[at]) {
        return None;
    }
    if let Some(found) = identifier(text, at) {
        return Some(found);
    }
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let length = bytes[at..].iter().take(LONGEST).take_while(|byte| is_part(**byte)).count();
    let ends = (at + 1..=at + length).rev();
    ends.filter_map(|end| Some((read(&text[at..end], before, bytes.get(end).copied())?, end)))
        .next()
}

/// A port or a switch, which `ip` writes as one number: often it is a MAC address.
fn identifier(text: &str, at: usize) -> Option<(Occurrence, usize)> {
    let (before, rest) = text.split_at_checked(at)?;
    if !before.ends_with("portid ") && !before.ends_with("switchid ") {
        return None;
    }
    let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let digits = rest.as_bytes()[..length].chunks(2);
    let byte = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    let bytes: Vec<u8> = digits.map(byte).collect::<Option<_>>()?;
    (length >= 12).then_some((Occurrence::Mac(bytes), at + length))
}

/// `before` and `behind` are the characters around: what is part of a longer word is no address.
fn read(word: &str, before: Option<u8>, behind: Option<u8>) -> Option<Occurrence> {
    let is_number = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    // A letter may stand before it, or behind.
    if !is_number(before)
        && !is_number(behind)
        && let Ok(address) = word.parse::<Ipv4Addr>()
    {
        return Some(Occurrence::Ip(address.into()));
    }
    let is_word =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word(before) || is_word(behind) {
        return None;
    }
    if word.ends_with(':') && behind == Some(b':') {
        // The address begins one character later.
        return None;
    }
    if let Ok(address) = word.parse::<Ipv6Addr>() {
        return Some(Occurrence::Ip(address.into()));
    }
    // As names of hosts have it in clouds: ip-10-0-0-1.
    if let Ok(address) = word.replace('-', ".").parse::<Ipv4Addr>() {
        return Some(Occurrence::Ip(address.into()));
    }
    let mac = mac(word, ':').or_else(|| mac(word, '-'));
    mac.or_else(|| bridge_mac(word).filter(|_| behind != Some(b':'))).map(Occurrence::Mac)
}

/// Six or more bytes as two hexadecimal digits each.
fn mac(word: &str, separator: char) -> Option<Vec<u8>> {
    let byte = |digits: &str| match digits.len() {
        2 => u8::from_str_radix(digits, 16).ok(),
        _ => None,
    };
    let bytes: Vec<u8> = word.split(separator).map(byte).collect::<Option<_>>()?;
    (bytes.len() >= 6).then_some(bytes)
}

/// Six bytes without leading zeros, as `ip` writes what bridges are known by. An IPv6 address has more
/// groups, or `::`.
fn bridge_mac(word: &str) -> Option<Vec<u8>> {
    let byte = |digits: &str| match digits.len() {
        1 | 2 => u8::from_str_radix(digits, 16).ok(),
        _ => None,
    };
    let bytes: Vec<u8> = word.split(':').map(byte).collect::<Option<_>>()?;
    (bytes.len() == 6).then_some(bytes)
}

#[cfg(test)]
mod tests;
