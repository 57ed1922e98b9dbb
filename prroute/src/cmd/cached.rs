//! Looks at the kernel for many who ask: one look at a time, with a pause after it, and what was seen
//! serves all for half a second.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Error, Result};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::causes::with_causes;

const FRESH: Duration = Duration::from_millis(500);

/// After each look as much time passes as it took: those who ask get half of a processor at most.
#[derive(Debug, Default)]
pub(super) struct Turn {
    next: Mutex<Option<Instant>>,
}

impl Turn {
    /// Does it when it is its turn.
    pub(super) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let mut next = self.next.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        let begun = Instant::now();
        let made = work.await;
        *next = Some(Instant::now() + begun.elapsed());
        made
    }
}

/// What was seen, or why it could not be.
type Seen<T> = Result<Rc<T>, String>;

#[derive(Debug)]
pub(super) struct Cached<T> {
    last: Mutex<Option<(Instant, Seen<T>)>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T> Cached<T> {
    /// Who asks while it is being made waits for it.
    pub(super) async fn get(
        &self,
        turn: &Turn,
        make: impl Future<Output = Result<T>>,
    ) -> Result<Rc<T>> {
        self.get_without_turn(turn.take(make)).await
    }

    /// Likewise, of what takes no processor but waits: no pause follows it.
    pub(super) async fn get_without_turn(
        &self,
        make: impl Future<Output = Result<T>>,
    ) -> Result<Rc<T>> {
        let mut last = self.last.lock().await;
        if let Some((made, seen)) = last.as_ref()
            && made.elapsed() < FRESH
        {
            return seen.clone().map_err(Error::msg);
        }
        // Not two of them at a time.
        *last = None;
        let seen = make.await.map(Rc::new);
        let seen = seen.map_err(|error| with_causes(error.as_ref()).to_string());
        *last = Some((Instant::now(), seen.clone()));
        seen.map_err(Error::msg)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_look_and_an_error_is_an_answer() {
        let (turn, cached, made) = (Turn::default(), Cached::default(), Cell::new(0));
        let ask = || {
            cached.get(&turn, async {
                sleep(Duration::from_millis(100)).await;
                made.set(made.get() + 1);
                if made.get() == 1 { Err(anyhow!("refused")) } else { Ok(made.get()) }
            })
        };
        let (a, b) = tokio::join!(ask(), ask());
        assert_eq!(
            (a.unwrap_err().to_string(), b.unwrap_err().to_string().as_str(), made.get()),
            ("refused".to_owned(), "refused", 1)
        );
        advance(FRESH).await;
        assert_eq!(*ask().await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_of_all_kinds_take_half_of_the_time_at_most() {
        let (turn, begun) = (Turn::default(), Instant::now());
        for _ in 0..10 {
            turn.take(async { sleep(Duration::from_millis(100)).await }).await;
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(1_900));
    }
}
