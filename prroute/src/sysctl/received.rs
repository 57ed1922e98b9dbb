//! How many packets each interface has received.

use std::collections::BTreeMap;

/// By the interface's name; empty where the kernel does not tell.
pub(crate) fn packets() -> BTreeMap<String, u64> {
    std::fs::read_to_string("/proc/net/dev").map(|text| counts(&text)).unwrap_or_default()
}

/// `NAME: BYTES PACKETS ...`, after two lines of headings.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let packets = figures.split_whitespace().nth(1)?.parse().ok()?;
        Some((name.trim_start().to_owned(), packets))
    };
    text.lines().skip(2).filter_map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_by_name() {
        let text = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs\n    \
                    lo:   56076     691    0\neth0.7:12345678 9876 0\n";
        let expected = [("eth0.7".to_owned(), 9876), ("lo".to_owned(), 691)];
        assert_eq!(counts(text), BTreeMap::from(expected));
        assert_eq!(counts("what\nis\nthis"), BTreeMap::new());
    }
}
