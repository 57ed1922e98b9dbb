//! How often the rules for sources may move: another program that wants to be first, too, may answer
//! each move with one of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::state::observed::Family;
use crate::state::place::{Moves, Place};

/// Moves without a pause between them.
const OFTEN: u32 = 10;
/// After so long without one they are forgotten.
const CALM: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct MoveLimit {
    /// Where the rules were in the last round.
    first: BTreeMap<Family, u32>,
    /// Moves since the last calm.
    done: u32,
    /// The latest of them, or the start.
    last: Instant,
}

impl MoveLimit {
    pub(super) const fn new(now: Instant) -> Self {
        Self { first: BTreeMap::new(), done: 0, last: now }
    }

    pub(super) fn allowed(&self, now: Instant) -> Moves {
        let calm = now.duration_since(self.last) >= CALM;
        Moves { escape: calm || self.done < OFTEN, home: calm }
    }

    /// The rules stand there now. Both families moving at once is one move.
    pub(super) fn note(&mut self, places: &[Place], now: Instant) {
        let moved = |place: &Place| {
            self.first.get(&place.family).is_some_and(|first| *first != place.first)
        };
        if places.iter().any(moved) {
            let calm = now.duration_since(self.last) >= CALM;
            self.done = if calm { 1 } else { self.done + 1 };
            self.last = now;
        }
        self.first.extend(places.iter().map(|place| (place.family, place.first)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::place::Now;

    fn place(first: u32) -> Place {
        let (before, behind) = (Vec::new(), Vec::new());
        let now = Now { first, behind: Vec::new() };
        Place { family: Family::V4, first, now, home: false, before, behind, stays: None }
    }

    #[test]
    fn after_some_moves_there_is_a_pause() {
        let start = Instant::now();
        let mut limit = MoveLimit::new(start);
        limit.note(&[place(21_000)], start);
        for n in 0..OFTEN {
            assert!(limit.allowed(start).escape, "{n}");
            limit.note(&[place(20_000 - n)], start);
            limit.note(&[place(20_000 - n)], start);
        }
        assert_eq!(limit.allowed(start), Moves { escape: false, home: false });
        let later = start + CALM;
        assert_eq!(limit.allowed(later), Moves { escape: true, home: true });
        limit.note(&[place(21_000)], later);
        assert_eq!(limit.allowed(later), Moves { escape: true, home: false });
    }
}
