//! Files that anybody may have damaged: the configuration, the journal, the report. Whatever their
//! bytes, nothing panics, and a mistake in the configuration is named by a line that it has.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use prroute::config::{Config, Mistake, Ranges, SAMPLE};
use prroute::runtime::{DaemonReport, Journal, Origin};
use prroute::state::desired::Desired;
use prroute::state::observed::Observed;
use prroute::state::undo;

/// The sample with its commented keys in use.
fn configuration() -> String {
    let used = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with('[') || rest.contains(" = ") && !rest.starts_with(' ') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let lines = SAMPLE.lines().filter(|line| !line.starts_with("#mac")).map(used);
    lines.collect::<Vec<_>>().join("\n")
}

fn check_configuration(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = Config::parse(Path::new("prroute.toml"), text) {
        prop_assert!(!error.mistakes().is_empty());
        let lines = text.split('\n').count();
        for mistake in error.mistakes() {
            let Mistake::Invalid { line, .. } = mistake else {
                return Err(TestCaseError::fail(error.to_string()));
            };
            prop_assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{}", error);
        }
    }
    Ok(())
}

fn journal() -> Vec<u8> {
    serde_json::to_vec(&Journal::new(Ranges::default())).expect("JSON")
}

fn check_records(text: &[u8]) {
    let here = Origin::current();
    if let Ok(journal) = Journal::parse(text, &here) {
        let (desired, observed) = (Desired::default(), Observed::default());
        undo::leave(journal.ranges, Ranges::default(), &desired, &observed);
    }
    drop(DaemonReport::parse(text, &here).map_err(|error| error.to_string()));
}

/// Some bytes replaced, some inserted, and perhaps the rest cut off.
fn damage(whole: &[u8], damages: &[(Index, Option<u8>)], cut: Option<&Index>) -> Vec<u8> {
    let mut text = whole.to_vec();
    for (at, byte) in damages {
        let at = at.index(text.len());
        match byte {
            Some(byte) => text[at] = *byte,
            None => text.insert(at, b'"'),
        }
    }
    if let Some(cut) = cut {
        text.truncate(cut.index(text.len()));
    }
    text
}

fn damages() -> impl Strategy<Value = Vec<(Index, Option<u8>)>> {
    prop::collection::vec(any::<(Index, Option<u8>)>(), 1..6)
}

#[test]
fn what_is_damaged_here_is_whole_at_first() {
    let config = Config::parse(Path::new("prroute.toml"), &configuration()).expect("valid");
    assert_eq!(config.uplinks.len(), 1);
    Journal::parse(&journal(), &Origin::current()).expect("valid");
}

proptest! {
    #[test]
    fn a_damaged_configuration_is_no_panic(damages in damages(), cut in any::<Option<Index>>()) {
        let text = damage(configuration().as_bytes(), &damages, cut.as_ref());
        check_configuration(&String::from_utf8_lossy(&text))?;
    }

    #[test]
    fn any_text_as_configuration_is_no_panic(text in "\\PC*", odd in "[\\[\\]=\"'#\n\t{}a-z0-9.,-]*") {
        check_configuration(&text)?;
        check_configuration(&odd)?;
    }

    #[test]
    fn a_damaged_journal_is_no_panic(damages in damages(), cut in any::<Option<Index>>()) {
        check_records(&damage(&journal(), &damages, cut.as_ref()));
    }

    #[test]
    fn any_bytes_as_journal_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        check_records(&bytes);
    }
}
