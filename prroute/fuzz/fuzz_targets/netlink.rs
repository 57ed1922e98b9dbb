//! Whatever the kernel sends: no panic, and what must hold holds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Err(broken) = prroute::netlink::audit::check(input) {
        panic!("{broken}");
    }
});
