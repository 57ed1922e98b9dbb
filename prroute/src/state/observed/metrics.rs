//! What a route says of the connections that take it, besides their way: how large their packets are, and so on.

use std::fmt;

#[cfg(test)]
use serde::Deserialize;

/// `RTAX_LOCK`: a bit for each of the others that nobody may change, path MTU discovery included.
const LOCK: u16 = 1;
/// `RTAX_RTO_MIN`, in milliseconds.
const RTO_MIN: u16 = 13;

/// The maximum size of packets, and what they may be forwarded: `cnf.mtu6` and `cnf.hop_limit` of an interface.
const MTU: u16 = 2;
const HOP_LIMIT: u16 = 10;

/// Numbers of `RTAX_*`, and their names in ip-route(8).
const NAMES: [(u16, &str); 12] = [
    (MTU, "mtu"),
    (3, "window"),
    (6, "ssthresh"),
    (7, "cwnd"),
    (8, "advmss"),
    (9, "reordering"),
    (HOP_LIMIT, "hoplimit"),
    (11, "initcwnd"),
    (RTO_MIN, "rto_min"),
    (14, "initrwnd"),
    (15, "quickack"),
    (17, "fastopen_no_cookie"),
];

/// Of a metric in the value of [`LOCK`].
const fn bit(number: u16) -> u32 {
    1_u32.unbounded_shl(number as u32)
}

/// By number, the lowest first, as the kernel has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct RouteMetrics(Vec<(u16, u32)>);

impl RouteMetrics {
    /// Of those that the kernel has, the ones that have a name here.
    pub fn new(all: impl Iterator<Item = (u16, u32)>) -> Self {
        let named = NAMES.iter().fold(0, |bits, (number, _)| bits | bit(*number));
        let known = all.filter_map(|(number, value)| match number {
            // Of one that is not copied it locks nothing, and the kernel tells none without a bit.
            LOCK => Some((LOCK, value & named)).filter(|(_, bits)| *bits != 0),
            _ => Self::name(number).map(|_| (number, value)),
        });
        let mut known: Vec<_> = known.collect();
        known.sort_unstable();
        Self(known)
    }

    /// But for those that an IPv6 route without them takes from its interface.
    pub fn without_the_interfaces(&self) -> Self {
        Self(self.iter().filter(|(number, _)| !matches!(*number, MTU | HOP_LIMIT)).collect())
    }

    /// Whether one with this name is among them.
    pub fn has_name(word: &str) -> bool {
        NAMES.iter().any(|(_, name)| *name == word)
    }

    /// What ip-route(8) calls the one with this number.
    pub fn name(number: u16) -> Option<&'static str> {
        NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u16, u32)> {
        self.0.iter().copied()
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With their names, and whether they are locked.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u32, bool)> {
        let locked = self.iter().find(|(number, _)| *number == LOCK).map_or(0, |(_, bits)| bits);
        let is_locked = move |number| locked & bit(number) != 0;
        self.iter().filter_map(move |(number, value)| {
            Some((Self::name(number)?, value, is_locked(number)))
        })
    }
}

/// As ip-route(8) takes them, each behind a space.
impl fmt::Display for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value, is_locked) in self.named() {
            let lock = if is_locked { "lock " } else { "" };
            let unit = if name == "rto_min" { "ms" } else { "" };
            write!(f, " {name} {lock}{value}{unit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_written_as_ip_takes_them() {
        let all = [(13, 200), (8, 1360), (2, 1400), (1, 1 << 2), (16, 7)];
        let metrics = RouteMetrics::new(all.into_iter());
        assert_eq!(metrics.to_string(), " mtu lock 1400 advmss 1360 rto_min 200ms");
        assert_eq!(RouteMetrics::default().to_string(), "");
    }

    /// `congctl lock bbr` has a bit, and no metric that is copied.
    #[test]
    fn what_is_not_copied_locks_nothing() {
        let new = |all: &[(u16, u32)]| RouteMetrics::new(all.iter().copied());
        assert_eq!(new(&[(1, 1 << 16), (16, 7)]), RouteMetrics::default());
        assert_eq!(new(&[(1, 1 << 16 | 1 << 2), (2, 1400)]), new(&[(1, 1 << 2), (2, 1400)]));
    }
}
