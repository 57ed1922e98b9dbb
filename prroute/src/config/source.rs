//! A file while it is being checked: values, and where they stand.

use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml::Spanned;

use super::Pattern;
use super::error::{Mistake, key_at};
use crate::family::Family;

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) path: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
}

impl Position {
    pub(super) fn invalid(&self, key: &str, message: impl Into<String>) -> Mistake {
        Mistake::Invalid {
            path: self.path.clone(),
            line: Some(self.line),
            key: Some(key.to_owned()),
            message: message.into(),
        }
    }
}

pub(super) struct SourceFile<'a> {
    path: &'a Path,
    text: &'a str,
    /// Offsets of the ends of lines: each of thousands of values has its place.
    line_ends: Vec<usize>,
}

impl<'a> SourceFile<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { path, text, line_ends }
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn position(&self, span: Range<usize>) -> Position {
        Position { path: self.path.to_owned(), line: self.line_of(span.start) }
    }

    /// Counted from 1.
    fn line_of(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }

    fn invalid(&self, key: &str, span: Range<usize>, message: impl Into<String>) -> Mistake {
        self.position(span).invalid(key, message)
    }

    /// A text that is not TOML.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> Mistake {
        let span = error.span();
        Mistake::Invalid {
            path: self.path.to_owned(),
            line: span.as_ref().map(|span| self.line_of(span.start)),
            key: span.and_then(|span| key_at(self.text, span.start)),
            message: format!("not valid TOML: {}", error.message()),
        }
    }

    pub(super) fn number(
        &self,
        key: &str,
        value: &Spanned<i64>,
        min: u32,
        max: u32,
    ) -> Result<u32, Mistake> {
        u32::try_from(*value.get_ref()).ok().filter(|v| (min..=max).contains(v)).ok_or_else(|| {
            let message = format!("{} is not between {min} and {max}", value.get_ref());
            self.invalid(key, value.span(), message)
        })
    }

    pub(super) fn pattern(&self, key: &str, text: &Spanned<String>) -> Result<Pattern, Mistake> {
        let name = text.get_ref();
        if name.is_empty() || name.contains(['/', ' ', '\t', '\n']) {
            let message = format!("{name:?} cannot be the name of an interface");
            return Err(self.invalid(key, text.span(), message));
        }
        Ok(Pattern::new(name.as_str()))
    }

    /// `02:00:5e:10:00:01`, of an interface: neither a group's address nor zero.
    pub(super) fn mac(&self, text: &Spanned<String>) -> Result<[u8; 6], Mistake> {
        let is_interfaces = |mac: &[u8; 6]| *mac != [0; 6] && mac[0] & 1 == 0;
        mac_address(text.get_ref()).filter(is_interfaces).ok_or_else(|| {
            let message = format!("{:?} cannot be the MAC address of an interface", text.get_ref());
            self.invalid("mac", text.span(), message)
        })
    }

    pub(super) fn gateway(&self, text: &Spanned<String>) -> Result<IpAddr, Mistake> {
        let address: Option<IpAddr> = text.get_ref().parse().ok();
        let usable = |a: &IpAddr| !(a.is_unspecified() || a.is_multicast() || a.is_loopback());
        address.filter(usable).ok_or_else(|| {
            let message = format!("{:?} cannot be the address of a gateway", text.get_ref());
            self.invalid("gateway", text.span(), message)
        })
    }

    /// A prefix, or an address for itself alone.
    pub(super) fn destination(&self, text: &Spanned<String>) -> Result<IpNet, Mistake> {
        let invalid = |message: String| self.invalid("to", text.span(), message);
        let given = text.get_ref();
        let net = given.parse::<IpNet>().or_else(|_| given.parse::<IpAddr>().map(IpNet::from));
        let net =
            net.map_err(|_| invalid(format!("{given:?} is not a prefix such as 192.0.2.0/24")))?;
        if net != net.trunc() {
            let message = format!(
                "{given} has bits set behind its prefix length; did you mean {}?",
                net.trunc()
            );
            return Err(invalid(message));
        }
        // Such a rule would go before main's routes to bridges, tunnels and neighbours.
        if net.prefix_len() <= Family::of_net(&net).default_bits() {
            return Err(invalid(format!(
                "{given} counts as a default route: add a route to the main table instead"
            )));
        }
        if net.network().is_multicast() || net.network().is_loopback() {
            return Err(invalid(format!("{given} cannot be reached over an uplink")));
        }
        Ok(net)
    }
}

/// Two hexadecimal digits for each byte.
pub(crate) fn mac_address(text: &str) -> Option<[u8; 6]> {
    let byte = |digits: &str| {
        let is_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
    bytes?.try_into().ok()
}
