//! The last messages of the daemon, for who asks on its socket.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::Line;

/// So many are kept.
const KEPT: usize = 1_000;
/// Of a text, in bytes: what the verifier says may be long.
const LONGEST: usize = 2_048;
/// So many fields of a message, each as long as that.
const FIELDS: usize = 16;

static RECENT: LazyLock<Recent> = LazyLock::new(Recent::default);

/// Something that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cmd) struct Message {
    /// From 1 on.
    pub(in crate::cmd) number: u64,
    pub(in crate::cmd) time: SystemTime,
    pub(in crate::cmd) level: Level,
    pub(in crate::cmd) text: String,
    pub(in crate::cmd) fields: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Recent {
    messages: Mutex<VecDeque<Arc<Message>>>,
    /// The number of the newest.
    last: watch::Sender<u64>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { messages: Mutex::default(), last: watch::Sender::new(0) }
    }
}

impl Recent {
    fn add(&self, level: Level, line: Line) {
        let Line { message, fields } = line;
        let text = shortened(message);
        let fields = fields.into_iter().take(FIELDS);
        let fields = fields.map(|(name, value)| (name, shortened(value))).collect();
        // Nobody panics while holding it.
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let number = messages.back().map_or(0, |last| last.number) + 1;
        if messages.len() == KEPT {
            messages.pop_front();
        }
        let time = SystemTime::now();
        messages.push_back(Message { number, time, level, text, fields }.into());
        self.last.send_replace(number);
    }

    /// Those with higher numbers, and the highest number.
    async fn after(&self, known: u64, limit: Duration) -> (Vec<Arc<Message>>, u64) {
        let mut last = self.last.subscribe();
        // Late or never: there may still be some.
        drop(timeout(limit, last.wait_for(|last| *last > known)).await);
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = messages.iter().filter(|message| message.number > known);
        (newer.cloned().collect(), messages.back().map_or(0, |last| last.number))
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(" ...");
    }
    text
}

/// What was logged after the one with this number; waits for it within the limit.
pub(in crate::cmd) async fn after(known: u64, limit: Duration) -> (Vec<Arc<Message>>, u64) {
    RECENT.after(known, limit).await
}

/// Keeps what an operator is to know, whatever the log shows.
pub(super) struct Keeper;

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        RECENT.add(*event.metadata().level(), event.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line {
        Line { message: message.to_owned(), fields: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_comes() {
        let recent = Recent::default();
        recent.add(Level::INFO, line("first"));
        let (all, last) = recent.after(0, Duration::ZERO).await;
        assert_eq!((all.len(), last), (1, 1));
        assert_eq!(recent.after(1, Duration::from_secs(30)).await, (Vec::new(), 1));
        let (news, ()) = tokio::join!(recent.after(1, Duration::from_secs(30)), async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            recent.add(Level::WARN, line("second"));
        });
        assert_eq!((news.0[0].text.as_str(), news.1), ("second", 2));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let recent = Recent::default();
        for _ in 0..KEPT + 7 {
            recent.add(Level::INFO, line(&"ä".repeat(LONGEST)));
        }
        let (all, last) = recent.after(0, Duration::ZERO).await;
        assert_eq!((all.len(), all[0].number, last), (KEPT, 8, KEPT as u64 + 7));
        assert!(all[0].text.len() <= LONGEST + 4);
    }
}
