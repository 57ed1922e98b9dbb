//! Counters of the network namespace.

use std::collections::BTreeMap;

/// A counter of /proc/net/netstat; `None`: it cannot be read.
pub fn netstat(name: &str) -> Option<u64> {
    counter(&std::fs::read_to_string("/proc/net/netstat").ok()?, name)
}

/// One line has the names, the next one the values.
fn counter(netstat: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = netstat.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let values: BTreeMap<&str, &str> =
            pair[0].split_whitespace().zip(pair[1].split_whitespace()).collect();
        values.get(name)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: C IPReversePathFilter\nIpExt: 3 4\n";
        assert_eq!(counter(text, "IPReversePathFilter"), Some(4));
        assert_eq!(counter(text, "D"), None);
        assert_eq!(counter("", "A"), None);
    }
}
