//! Whatever the configuration says: no panic, and a mistake is named by a line of it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use prroute::config::{Config, ConfigError};

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(Path::new("prroute.toml"), text) {
        let ConfigError::Invalid { line, .. } = &error else { panic!("{error}") };
        let lines = text.split('\n').count();
        assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
    }
});
