//! Whatever the configuration says: no panic, and a mistake is named by a line of it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use prroute::config::{Config, Mistake};

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(Path::new("prroute.toml"), text) {
        let lines = text.split('\n').count();
        for mistake in error.mistakes() {
            let Mistake::Invalid { line, .. } = mistake else { panic!("{error}") };
            assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
        }
    }
});
