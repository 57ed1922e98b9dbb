//! A value that is made at most every half second, however many ask.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Mutex;
use tokio::time::Instant;

const FRESH: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Cached<T> {
    last: Mutex<Option<(Instant, Rc<T>)>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T> Cached<T> {
    /// Who asks while it is being made waits for it.
    pub(super) async fn get(&self, make: impl Future<Output = Result<T>>) -> Result<Rc<T>> {
        let mut last = self.last.lock().await;
        if let Some((made, value)) = last.as_ref()
            && made.elapsed() < FRESH
        {
            return Ok(Rc::clone(value));
        }
        // Not two of them at a time.
        *last = None;
        let value = Rc::new(make.await?);
        *last = Some((Instant::now(), Rc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_look() {
        let (cached, made) = (Cached::default(), Cell::new(0));
        let ask = || {
            cached.get(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                made.set(made.get() + 1);
                Ok(made.get())
            })
        };
        let (a, b) = tokio::join!(ask(), ask());
        assert_eq!((*a.unwrap(), *b.unwrap(), made.get()), (1, 1, 1));
        advance(FRESH).await;
        assert_eq!(*ask().await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_made_is_tried_again() {
        let cached = Cached::default();
        assert!(cached.get(async { anyhow::bail!("refused") }).await.is_err());
        assert_eq!(*cached.get(async { Ok(7) }).await.unwrap(), 7);
    }
}
