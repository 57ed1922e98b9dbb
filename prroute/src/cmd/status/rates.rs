//! How many packets come in, and are moved, per second: what two looks differ by.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prroute_common::reason::Reason;
use serde_json::Value;

use crate::json::{RatesJson, StatusJson, UplinkStatusJson};

/// The figures of one look.
#[derive(Debug)]
pub(in crate::cmd) struct Look {
    at: Instant,
    /// Received and moved packets, by the uplink's name and ifindex.
    counts: BTreeMap<(String, u32), (u64, u64)>,
}

impl Look {
    /// Adds the rates since the look `before`, and is the next one's.
    pub(in crate::cmd) fn follow(
        before: Option<&Self>,
        report: &mut StatusJson,
        at: Instant,
    ) -> Self {
        let mut counts = BTreeMap::new();
        for it in &mut report.uplinks {
            let Some(received) = it.received else { continue };
            let now = (received, moved(it));
            let key = (it.uplink.name.clone(), it.uplink.ifindex);
            let then = before.and_then(|look| Some((look.at, *look.counts.get(&key)?)));
            it.rates = then.and_then(|(then, counts)| {
                let seconds = at.checked_duration_since(then)?.as_secs_f64();
                rates(counts, now, seconds)
            });
            counts.insert(key, now);
        }
        Self { at, counts }
    }

    pub(in crate::cmd) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Replies and own packets that left by this uplink instead of another.
fn moved(it: &UplinkStatusJson) -> u64 {
    let count = |reason: Reason| it.counters.get(reason.name()).and_then(Value::as_u64);
    let moved = [Reason::Redirected, Reason::RedirectedToOwner];
    moved.into_iter().filter_map(count).sum()
}

/// `None`: counters began anew between the looks.
fn rates(then: (u64, u64), now: (u64, u64), seconds: f64) -> Option<RatesJson> {
    let rate = |then: u64, now: u64| {
        let more = now.checked_sub(then)?;
        (seconds > 0.0).then(|| more as f64 / seconds)
    };
    Some(RatesJson {
        received_per_second: rate(then.0, now.0)?,
        moved_per_second: rate(then.1, now.1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::a_status;

    #[test]
    fn rates_are_what_two_looks_differ_by_and_one_look_has_none() {
        let (mut report, at) = (a_status(), Instant::now());
        let look = Look::follow(None, &mut report, at);
        assert_eq!(report.uplinks[0].rates, None);
        report.uplinks[0].received = report.uplinks[0].received.map(|count| count + 10);
        report.uplinks[0].counters.insert(Reason::Redirected.name().to_owned(), 5.into());
        let at = at + Duration::from_secs(2);
        let look = Look::follow(Some(&look), &mut report, at);
        let expected = RatesJson { received_per_second: 5.0, moved_per_second: 2.5 };
        assert_eq!(report.uplinks[0].rates, Some(expected));
        Look::follow(Some(&look), &mut report, at);
        assert_eq!(report.uplinks[0].rates, None, "no time has passed");
    }

    #[test]
    fn counters_that_begin_anew_have_no_rate() {
        assert_eq!(rates((9, 0), (3, 0), 1.0), None);
        assert_eq!(rates((0, 9), (3, 0), 1.0), None);
    }
}
