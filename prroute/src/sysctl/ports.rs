//! The ports that the kernel gives to sockets which ask for none.

use std::fs;

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The kernel's own default.
const DEFAULT: (u16, u16) = (32_768, 60_999);

/// Below, services have their ports, also where an administrator lets clients use them.
const FIRST: u16 = 32_768;

/// The first and the last port of clients in the calling thread's network namespace: those of
/// `net.ipv4.ip_local_port_range` that no service is registered at. The first is above the last when
/// there is none.
pub fn client_ports() -> (u16, u16) {
    match fs::read_to_string(RANGE) {
        Ok(text) => parsed(&text).unwrap_or(DEFAULT),
        Err(error) => {
            tracing::warn!(
                event = "not-readable",
                "read {RANGE}: {error}; taking {} to {}",
                DEFAULT.0,
                DEFAULT.1
            );
            DEFAULT
        }
    }
}

fn parsed(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (first, last): (u16, u16) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((first.max(FIRST), last))
}

#[cfg(test)]
mod tests {
    use super::{client_ports, parsed};

    #[test]
    fn ports_of_services_are_none_of_clients() {
        assert_eq!(parsed("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parsed("1024\t65535\n"), Some((32_768, 65_535)));
        assert_eq!(parsed("10000\t20000\n"), Some((32_768, 20_000)), "no port at all");
        assert_eq!(parsed("x"), None);
    }

    #[test]
    fn the_range_of_this_namespace_is_read() {
        assert!(client_ports().0 >= 32_768);
    }
}
