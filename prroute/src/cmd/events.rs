//! `prroute events`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use humantime::format_rfc3339_seconds;
use tracing::Level;

use crate::cli::EventsArgs;
use crate::cmd::log::recent::Message;
use crate::cmd::{output, socket};
use crate::instance::Instance;
use crate::json::{EventJson, EventsJson, Format};

/// For how long a request waits for news.
const WAIT: u64 = 25;
/// Between two looks for a daemon.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &EventsArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let mut known = read(instance, None, 0).await?;
    let skipped = args.last.map_or(0, |last| known.events.len().saturating_sub(last));
    write(&known.events[skipped..], args.json)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        match next(instance, &known).await {
            Ok(news) => {
                write(&news.events, args.json)?;
                known = news;
            }
            Err(error) if socket::is_gone(&error) => pause().await,
            Err(error) => return Err(error),
        }
    }
}

/// Waits for what comes after those that are known; for nothing not longer than some seconds.
pub(super) async fn next(instance: &Instance, known: &EventsJson) -> Result<EventsJson> {
    let asked = Instant::now();
    let news = read(instance, Some(known), WAIT).await?;
    // Too many wait already.
    if news.events.is_empty() && asked.elapsed() < PAUSE {
        pause().await;
    }
    Ok(news)
}

/// Until a daemon is looked for again.
pub(super) async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

pub(super) async fn read(
    instance: &Instance,
    known: Option<&EventsJson>,
    wait: u64,
) -> Result<EventsJson> {
    let since = known.map(|known| format!("after={}&run={}&", known.last, known.run));
    let target = format!("/v1/events?{}wait={wait}", since.unwrap_or_default());
    let limit = socket::PATIENCE + Duration::from_secs(wait);
    let answer = socket::ask_here(instance, &target, false, limit).await?;
    serde_json::from_str(&answer.body).context("read the daemon's answer")
}

fn write(events: &[EventJson], json: bool) -> Result<()> {
    for event in events {
        match json {
            true => output::written_json(&format!("{}\n", serde_json::to_string(event)?))?,
            false => output::line(line(event))?,
        }
    }
    Ok(())
}

fn line(event: &EventJson) -> String {
    let EventJson { time, priority, message, .. } = event;
    match priority.as_str() {
        "info" => format!("{time} {message}"),
        _ => format!("{time} {priority}: {message}"),
    }
}

/// As the daemon tells them.
pub(super) fn report(instance: &Instance, run: u64, last: u64, all: &[Arc<Message>]) -> EventsJson {
    EventsJson {
        schema: Format::Events.id().to_owned(),
        instance: instance.to_string(),
        pid: std::process::id(),
        run,
        last,
        events: all.iter().map(|message| one(message)).collect(),
    }
}

fn one(message: &Message) -> EventJson {
    let Message { number, time, level, text, fields } = message;
    EventJson {
        number: *number,
        time: format_rfc3339_seconds(*time).to_string(),
        priority: match *level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => "info",
        }
        .to_owned(),
        message: text.clone(),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::json::tests::expect_example;

    #[test]
    fn an_event_is_a_line_with_its_time() {
        let message = Message {
            number: 3,
            time: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            level: Level::WARN,
            text: "eth1: gateway 10.71.1.1 is silent".to_owned(),
            fields: vec![("event", "gateway-silent".to_owned()), ("uplink", "eth1".to_owned())],
        };
        let instance = "default".parse().unwrap();
        let report = report(&instance, 1_800_000_000, 3, &[message.into()]);
        let report = EventsJson { pid: 42, ..report };
        expect_example("events.json", &report);
        let said = line(&report.events[0]);
        assert_eq!(said, "2027-01-15T08:00:00Z warning: eth1: gateway 10.71.1.1 is silent");
    }
}
