//! Sequences of packets, generated and fixed, against what must hold.

use proptest::prelude::*;
use prroute_oracle::corpus;
use prroute_oracle::sequence::{self, Event, faults};

/// A failure prints its events.
fn many() -> ProptestConfig {
    ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn every_reply_leaves_by_the_uplink_of_its_own_client(
        bytes in sequence::generated(),
    ) {
        let outcome = sequence::check_sequence(&bytes);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[test]
fn what_once_went_wrong_comes_out_right() {
    let wrong: Vec<String> = faults::all()
        .into_iter()
        .filter_map(|(name, sequence)| {
            let fault = sequence::check_events(&sequence).err()?;
            Some(format!("{name}: {fault}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_corpus_breaks_no_rule() {
    let inputs = corpus::sequences().unwrap();
    assert!(inputs.len() >= 50, "{} inputs", inputs.len());
    for (name, input) in inputs {
        sequence::check_sequence(&input).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
}

#[test]
fn events_are_what_their_bytes_say() {
    let sequence = sequence::decode(&[3, 0, 8, 0, 25, 0, 5, 35, 0, 4]);
    assert_eq!(sequence.events.last(), Some(&Event::Restart));
    assert_eq!(sequence::decode(&sequence::encode(&sequence)), sequence);
}
