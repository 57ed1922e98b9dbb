//! Whatever the events: no reply leaves by an uplink that its client is not behind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Err(broken) = prroute_oracle::check_sequence(input) {
        panic!("{broken}");
    }
});
