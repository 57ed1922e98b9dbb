//! Whatever the journal and the report hold: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prroute::runtime::{DaemonReport, Journal, Origin};

fuzz_target!(|text: &[u8]| {
    let here = Origin::default();
    drop(Journal::parse(text, &here).map_err(|error| error.to_string()));
    drop(DaemonReport::parse(text, &here).map_err(|error| error.to_string()));
});
