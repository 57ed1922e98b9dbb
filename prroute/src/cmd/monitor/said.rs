//! What the daemon says of uplinks, and of what it put back.

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;

use super::question::Question;
use crate::cmd::{events, socket};
use crate::instance::Instance;
use crate::json::{EventJson, EventsJson, Format, SaidJson};

/// Of uplinks and their gateways, by the beginnings of names in docs/journal.md.
const UPLINK: [&str; 6] = ["uplink-", "gateway-", "renamed", "stacked", "flapping", "not-managed"];
/// Of what others remove or change, and what is done about it.
const HEAL: [&str; 4] = ["put-back", "sysctl-", "rules-and-routes", "collision"];

/// Hands on what the daemon says after what is known, also over its restart; ends with an error only.
pub(super) async fn follow(
    instance: &Instance,
    known: Option<EventsJson>,
    news: UnboundedSender<EventJson>,
) -> Result<()> {
    let Some(mut known) = known else { return Ok(()) };
    loop {
        match events::next(instance, &known).await {
            Ok(later) => {
                for event in &later.events {
                    // Nobody reads any more: neither does this.
                    news.send(event.clone()).unwrap_or_default();
                }
                known = later;
            }
            Err(error) if socket::is_gone(&error) => events::pause().await,
            Err(error) => return Err(error),
        }
    }
}

/// What kind of event it is, if it is asked for. What is about no single uplink may be about the one that is.
pub(super) fn kind(event: &EventJson, question: &Question) -> Option<&'static str> {
    let name = event.fields.get("event")?;
    if let (Some(asked), Some(dev)) = (&question.device, event.fields.get("uplink"))
        && asked != dev
    {
        return None;
    }
    let begins = |beginnings: &[&str]| beginnings.iter().any(|it| name.starts_with(it));
    if question.kinds.uplink && begins(&UPLINK) {
        return Some("uplink");
    }
    (question.kinds.heal && begins(&HEAL)).then_some("heal")
}

pub(super) fn text(event: &EventJson) -> String {
    match event.priority.as_str() {
        "info" => event.message.clone(),
        priority => format!("{priority}: {}", event.message),
    }
}

pub(super) fn json(event: &EventJson, kind: &str) -> SaidJson {
    SaidJson {
        schema: Format::Monitor.id().to_owned(),
        time: event.time.clone(),
        kind: kind.to_owned(),
        priority: event.priority.clone(),
        event: event.fields.get("event").cloned().unwrap_or_default(),
        dev: event.fields.get("uplink").cloned(),
        text: event.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, uplink: Option<&str>) -> EventJson {
        let uplink = uplink.map(|uplink| ("uplink".to_owned(), uplink.to_owned()));
        EventJson {
            number: 1,
            time: "2027-01-15T08:00:00Z".to_owned(),
            priority: "warning".to_owned(),
            message: "eth1: gateway 10.71.1.1 is silent".to_owned(),
            fields: [("event".to_owned(), name.to_owned())].into_iter().chain(uplink).collect(),
        }
    }

    fn question(words: &str) -> Question {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        Question::parse(&words).unwrap()
    }

    #[test]
    fn events_have_a_kind() {
        let both = question("");
        assert_eq!(kind(&event("gateway-silent", None), &both), Some("uplink"));
        assert_eq!(kind(&event("put-back-later", None), &both), Some("heal"));
        assert_eq!(kind(&event("ready", None), &both), None);
        assert_eq!(kind(&event("put-back", None), &question("uplink")), None);
    }

    #[test]
    fn of_one_uplink_only_its_own_are_shown() {
        let of_eth1 = question("dev eth1");
        assert_eq!(kind(&event("uplink-down", Some("eth1")), &of_eth1), Some("uplink"));
        assert_eq!(kind(&event("uplink-down", Some("eth0")), &of_eth1), None);
        assert_eq!(kind(&event("put-back", Some("eth1")), &of_eth1), Some("heal"));
        assert_eq!(kind(&event("put-back", Some("eth0")), &of_eth1), None);
    }

    #[test]
    fn what_is_about_no_single_uplink_is_shown_of_each() {
        let of_eth1 = question("heal dev eth1");
        for name in ["put-back", "put-back-later", "collision", "sysctl-set-again"] {
            assert_eq!(kind(&event(name, None), &of_eth1), Some("heal"), "{name}");
        }
        assert_eq!(kind(&event("ready", None), &of_eth1), None);
    }

    /// Names in the journal are kept; a kind that fits none would show nothing.
    #[test]
    fn every_kind_of_event_is_in_the_journal() {
        let journal = include_str!("../../../../docs/journal.md");
        for beginning in UPLINK.into_iter().chain(HEAL) {
            assert!(journal.contains(&format!("| `{beginning}")), "{beginning}");
        }
    }
}
