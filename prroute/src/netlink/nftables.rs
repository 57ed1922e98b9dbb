//! Netfilter rules that ask for the route back to a packet's sender: `fib saddr . iif oif` of nftables,
//! and the match `rpfilter` where iptables keeps its rules in nftables.
//!
//! Rules are dumped as the kernel has them (`NFT_MSG_GETRULE`, linux/netfilter/nf_tables.h), and looked
//! through for these expressions, the conditions before them and the verdict behind them. All else is
//! ignored.

mod expression;
mod interfaces;
mod iptables;
mod published;
pub mod ruleset;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use nix::libc;

pub use self::expression::{Expression, Verdict};
pub use self::interfaces::{FilterRule, Ruling, Subject};
use super::netfilter::{
    HEADER, HEADERS, Read, attributes, each, is_loaded, number, request, text, value,
};
use crate::state::observed::{Family, ReversePathFilter};

const GET_RULE: u16 = of_nftables(libc::NFT_MSG_GETRULE);
const NEW_RULE: u16 = of_nftables(libc::NFT_MSG_NEWRULE);
const MODULE: &str = "nf_tables";
/// What a host with very many rules does not get looked at to the end.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how long what was read is good enough for the daemon.
const RECENT: Duration = Duration::from_secs(60);

/// The type of a message of nftables.
const fn of_nftables(message: libc::c_int) -> u16 {
    (libc::NFNL_SUBSYS_NFTABLES << 8 | message) as u16
}

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Filters(Option<(Instant, Vec<ReversePathFilter>)>);

impl Filters {
    /// What the kernel has, or had a minute ago.
    pub(super) fn recent(&mut self) -> Vec<ReversePathFilter> {
        if let Some((read, filters)) = &self.0
            && read.elapsed() < RECENT
        {
            return filters.clone();
        }
        let filters = reverse_path_filters();
        self.0 = Some((Instant::now(), filters.clone()));
        filters
    }
}

/// The filters of the calling thread's network namespace. None where they cannot be read.
pub fn reverse_path_filters() -> Vec<ReversePathFilter> {
    if !is_loaded(MODULE) {
        return Vec::new();
    }
    each_rule(rule).unwrap_or_else(Read::failed).found
}

/// What could be read of the rules.
#[derive(Debug, Default)]
pub struct FilterRules {
    pub rules: Vec<FilterRule>,
    /// Why there may be more.
    pub unread: Option<String>,
}

/// The rules of the calling thread's network namespace that look at interfaces or addresses, and
/// decide.
pub fn filter_rules() -> FilterRules {
    if !is_loaded(MODULE) {
        return FilterRules::default();
    }
    // The kernel lists the rules of a chain one after the other.
    let chains = RefCell::new(BTreeSet::new());
    let read = each_rule(|message| {
        let is_first = chains.borrow_mut().insert(interfaces::place(message)?);
        Some(FilterRule { is_first, ..interfaces::rule(message)? })
    });
    match read {
        Ok(Read { found, is_whole: true }) => FilterRules { rules: found, unread: None },
        Ok(Read { found, .. }) => {
            let unread = format!("there are more than can be read in {} ms", PATIENCE.as_millis());
            FilterRules { rules: found, unread: Some(unread) }
        }
        Err(error) => FilterRules { rules: Vec::new(), unread: Some(error.to_string()) },
    }
}

/// Addresses of IPv4 that rules of the calling thread's network namespace translate destinations to:
/// those of published containers. None where they cannot be read.
pub(crate) fn translated_destinations() -> Vec<Ipv4Addr> {
    if !is_loaded(MODULE) {
        return Vec::new();
    }
    let read = each_rule(published::destinations).unwrap_or_else(Read::failed);
    read.found.into_iter().flatten().collect()
}

/// What `rule` makes of each of them.
fn each_rule<T>(rule: impl Fn(&[u8]) -> Option<T>) -> io::Result<Read<T>> {
    each(&request(GET_RULE, 0, &[]), NEW_RULE, PATIENCE, rule)
}

/// What is known of a rule after some of its expressions.
#[derive(Default)]
struct Seen {
    /// What was loaded to be compared.
    loaded: Option<u32>,
    family: Option<Family>,
    device: Option<String>,
    asks_for_interface: bool,
    decides: bool,
}

pub(super) fn rule(message: &[u8]) -> Option<ReversePathFilter> {
    /// `NFTA_RULE_*`: libc has no attributes of nftables, here and below.
    const TABLE: u16 = 1;
    const CHAIN: u16 = 2;
    const EXPRESSIONS: u16 = 4;
    let of_table = match i32::from(*message.get(HEADER)?) {
        libc::NFPROTO_IPV4 => Some(Family::V4),
        libc::NFPROTO_IPV6 => Some(Family::V6),
        libc::NFPROTO_INET => None,
        _ => return None,
    };
    let rule = message.get(HEADERS..)?;
    let mut seen = Seen { family: of_table, ..Seen::default() };
    for (_, expression) in attributes(value(rule, EXPRESSIONS)?) {
        seen.pass(expression);
    }
    (seen.asks_for_interface && seen.decides).then(|| ReversePathFilter {
        family: seen.family,
        table: value(rule, TABLE).map(text).unwrap_or_default(),
        chain: value(rule, CHAIN).map(text).unwrap_or_default(),
        device: seen.device,
    })
}

impl Seen {
    /// Takes in one `NFTA_LIST_ELEM`: `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`.
    fn pass(&mut self, expression: &[u8]) {
        const NFPROTO: u32 = libc::NFT_META_NFPROTO as u32;
        const IIFNAME: u32 = libc::NFT_META_IIFNAME as u32;
        const IPV4: u8 = libc::NFPROTO_IPV4 as u8;
        const IPV6: u8 = libc::NFPROTO_IPV6 as u8;
        let name = value(expression, 1).and_then(|name| name.split(|byte| *byte == 0).next());
        let data = value(expression, 2).unwrap_or_default();
        let loaded = self.loaded.take();
        match name.unwrap_or_default() {
            // `NFTA_META_KEY`.
            b"meta" => self.loaded = number(data, 2),
            b"cmp" => match (loaded, equals(data)) {
                (Some(NFPROTO), Some([IPV4])) => self.family = Some(Family::V4),
                (Some(NFPROTO), Some([IPV6])) => self.family = Some(Family::V6),
                // Without a zero at its end it is the beginning of names.
                (Some(IIFNAME), Some(name)) if name.contains(&0) => self.device = Some(text(name)),
                _ => {}
            },
            b"fib" => self.asks_for_interface |= is_strict_fib(data),
            b"match" => self.asks_for_interface |= is_strict_match(data),
            // `NFTA_IMMEDIATE_DATA`, `NFTA_DATA_VERDICT`.
            b"immediate" => self.decides |= value(data, 2).is_some_and(|d| value(d, 2).is_some()),
            b"reject" => self.decides = true,
            _ => {}
        }
    }
}

/// What a value must be equal to (`NFTA_CMP_OP`, `NFTA_CMP_DATA`, `NFTA_DATA_VALUE`).
fn equals(data: &[u8]) -> Option<&[u8]> {
    value(data, 3).and_then(|data| value(data, 1)).filter(|_| number(data, 2) == Some(0))
}

/// `NFTA_FIB_RESULT` is an interface, and `NFTA_FIB_FLAGS` has the sender and the interface that the
/// packet came in by.
fn is_strict_fib(data: &[u8]) -> bool {
    const SADDR: u32 = 1;
    const IIF: u32 = 8;
    let flags = number(data, 3).unwrap_or_default();
    matches!(number(data, 2), Some(1 | 2)) && flags & SADDR != 0 && flags & IIF != 0
}

/// `NFTA_MATCH_NAME`, and `NFTA_MATCH_INFO` with the flags of `struct xt_rpfilter_info`.
fn is_strict_match(data: &[u8]) -> bool {
    const LOOSE: u8 = 1;
    let flags = value(data, 3).and_then(|info| info.first());
    value(data, 1).map(text).as_deref() == Some("rpfilter")
        && flags.is_some_and(|flags| flags & LOOSE == 0)
}

#[cfg(test)]
mod tests;
