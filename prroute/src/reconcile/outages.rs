//! Since when an uplink or a gateway is missing: when it comes back, the log says for how long it was.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What of an uplink is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// The interface, or all that makes it an uplink.
    Uplink,
    Link,
    Gateway(IpAddr),
}

/// By the uplink's name: one that comes back is another device.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<(String, Missing), Instant>);

/// An outage of an interface that never came back is forgotten when there are so many.
const MOST: usize = 1_000;

impl Outages {
    pub(super) fn begin(&mut self, name: &str, what: Missing, now: Instant) {
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, since)| **since);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
        self.0.entry((name.to_owned(), what)).or_insert(now);
    }

    /// It is over: ` after 12 s`, or nothing where nobody knows.
    pub(super) fn end(&mut self, name: &str, what: Missing, now: Instant) -> String {
        let since = self.0.remove(&(name.to_owned(), what));
        let lasted = since.map(|since| Lasted(now.duration_since(since)));
        lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default()
    }
}

/// For people: the two largest units.
struct Lasted(Duration);

impl fmt::Display for Lasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{seconds} s"),
            60..3_600 => write!(f, "{minutes} min {} s", seconds % 60),
            3_600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_with_its_length_once() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        for (seconds, said) in [
            (0, "0 ms"),
            (12, "12 s"),
            (75, "1 min 15 s"),
            (7_300, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            let end = start + Duration::from_secs(seconds);
            outages.begin("eth1", Missing::Link, start);
            outages.begin("eth1", Missing::Link, end);
            assert_eq!(outages.end("eth1", Missing::Link, end), format!(" after {said}"));
            assert_eq!(outages.end("eth1", Missing::Link, end), "");
        }
    }
}
