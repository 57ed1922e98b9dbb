//! So much is said in a span of time, and the rest is counted.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Window {
    /// When the span began; `None`: nothing was said lately.
    since: Option<Instant>,
    said: u32,
    /// What was held back, as far as it counts.
    held: u32,
    /// Something was held back in this span or the one before.
    holding: bool,
}

impl Window {
    /// Whether to say something now. What is held back is counted where it `counts`.
    pub(super) fn says(&mut self, now: Instant, free: u32, span: Duration, counts: bool) -> bool {
        if self.is_over(now, span) {
            *self = Self::default();
        }
        self.since.get_or_insert(now);
        if self.said < free {
            self.said += 1;
            return true;
        }
        self.holding = true;
        self.held += u32::from(counts);
        false
    }

    pub(super) const fn is_holding(&self) -> bool {
        self.holding
    }

    /// Nothing is held back, and the span is over.
    pub(super) fn is_over(&self, now: Instant, span: Duration) -> bool {
        !self.holding && self.since.is_none_or(|since| now.duration_since(since) >= span)
    }

    /// When what is held back is to be told.
    pub(super) fn due(&self, span: Duration) -> Option<Instant> {
        self.since.filter(|_| self.holding).map(|since| since + span)
    }

    /// How much was held back in the span that is over; then another begins, in which all is held
    /// back, until nothing was.
    pub(super) fn flush(&mut self, now: Instant, span: Duration) -> Option<u32> {
        self.due(span).filter(|due| *due <= now)?;
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            *self = Self::default();
        } else {
            self.since = Some(now);
        }
        Some(held)
    }
}
