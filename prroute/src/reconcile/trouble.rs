//! What the log says about failed rounds: an error once, not at each retry, and nothing about one that
//! passes by itself.

use std::time::{Duration, Instant};

use tracing::Level;

/// A failure that may pass by itself becomes a warning after so many rounds, ...
const TRIES: u32 = 3;
/// ... and so long.
const SPAN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Instant>,
    tries: u32,
    said: Option<String>,
}

impl Trouble {
    /// A round failed: what to say of it. `transient`: something went meanwhile.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        error: &str,
        transient: bool,
    ) -> Option<(Level, String)> {
        let since = *self.since.get_or_insert(now);
        self.tries += 1;
        let lasts = self.tries >= TRIES && now.duration_since(since) >= SPAN;
        if self.said.as_deref() == Some(error) || (transient && (!lasts || self.said.is_some())) {
            return None;
        }
        self.said = Some(error.to_owned());
        let level = if transient { Level::WARN } else { Level::ERROR };
        Some((level, format!("{error}; trying again until it works")))
    }

    /// A round succeeded: what to say where a failure was told.
    pub(super) fn over(&mut self) -> Option<(Level, String)> {
        let said = std::mem::take(self).said?;
        Some((Level::INFO, format!("it works again; it had failed with: {said}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_error_is_told_once_and_its_end_too() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        let (level, line) = trouble.failed(now, "EINVAL", false).unwrap();
        assert_eq!((level, line.as_str()), (Level::ERROR, "EINVAL; trying again until it works"));
        assert_eq!(trouble.failed(now + SECOND, "EINVAL", false), None);
        assert!(trouble.failed(now + SECOND, "EPERM", false).is_some(), "another one");
        let (level, line) = trouble.over().unwrap();
        assert_eq!(
            (level, line.as_str()),
            (Level::INFO, "it works again; it had failed with: EPERM")
        );
        assert_eq!(trouble.over(), None);
    }

    #[test]
    fn what_goes_by_itself_is_told_only_if_it_does_not() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(trouble.failed(now, "ENETDOWN", true), None, "many, but soon");
        }
        assert_eq!(trouble.over(), None);
        assert_eq!(trouble.failed(now, "ENETDOWN", true), None);
        assert_eq!(trouble.failed(now + 6 * SECOND, "ENETDOWN", true), None, "long, but few");
        let said = trouble.failed(now + 7 * SECOND, "ENETDOWN", true);
        assert_eq!(said.unwrap().0, Level::WARN);
        assert_eq!(trouble.failed(now + 8 * SECOND, "ENETDOWN of another", true), None);
        assert!(trouble.over().is_some());
    }
}
