//! Rules and routes that never hold still: nothing of prroute's is changed then, and somebody has to hear it.

use std::time::{Duration, Instant};

/// What passes by itself is not worth a line.
const SPAN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Restless {
    since: Option<Instant>,
    was_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Begins,
    Ends,
}

impl Restless {
    /// After each round: whether the tables changed each time that they were read.
    pub(super) fn note(&mut self, is_unsteady: bool) {
        match self.news(is_unsteady, Instant::now()) {
            Some(News::Begins) => tracing::warn!(
                event = "unsteady",
                "other programs change rules or routes all the time: those of prroute stay as they \
                 are until that ends"
            ),
            Some(News::Ends) => {
                tracing::info!(event = "unsteady-over", "rules and routes hold still again");
            }
            None => {}
        }
    }

    fn news(&mut self, is_unsteady: bool, now: Instant) -> Option<News> {
        if !is_unsteady {
            return std::mem::take(self).was_told.then_some(News::Ends);
        }
        let since = *self.since.get_or_insert(now);
        if self.was_told || now.duration_since(since) < SPAN {
            return None;
        }
        self.was_told = true;
        Some(News::Begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_its_end_too() {
        let (mut restless, now) = (Restless::default(), Instant::now());
        assert_eq!(restless.news(true, now), None);
        assert_eq!(restless.news(true, now + SPAN), Some(News::Begins));
        assert_eq!(restless.news(true, now + 2 * SPAN), None);
        assert_eq!(restless.news(false, now + 3 * SPAN), Some(News::Ends));
        assert_eq!(restless.news(false, now + 3 * SPAN), None);
    }

    #[test]
    fn a_burst_is_not_told() {
        let (mut restless, now) = (Restless::default(), Instant::now());
        for n in 0..4 {
            assert_eq!(restless.news(true, now + 2 * n * SPAN), None);
            assert_eq!(restless.news(false, now + (2 * n + 1) * SPAN), None);
        }
    }
}
