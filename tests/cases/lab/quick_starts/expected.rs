//! What a page promises of a command's output, beside what the command printed.

/// Stands in a page for lines, or for a part of a line, that do not matter.
const ANYTHING: &str = "[...]";

/// Whether `printed` is what the page shows, but for what `docs/quick-starts/README.md` says differs on each host.
pub(super) fn agrees(promised: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.trim_end().lines().map(normal).collect() };
    lines_agree(&lines(promised), &lines(printed))
}

fn lines_agree(promised: &[String], printed: &[String]) -> bool {
    let Some((first, others)) = promised.split_first() else { return printed.is_empty() };
    if first == ANYTHING {
        return (0..=printed.len()).any(|skipped| lines_agree(others, &printed[skipped..]));
    }
    let Some((line, rest)) = printed.split_first() else { return false };
    line_agrees(first, line) && lines_agree(others, rest)
}

fn line_agrees(promised: &str, printed: &str) -> bool {
    let parts: Vec<&str> = promised.split(ANYTHING).collect();
    let [first, parts @ .., last] = &parts[..] else { return promised == printed };
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A line whose process ids, times, MAC addresses and number of undone changes are replaced, without other
/// instances, in columns of one blank.
fn normal(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    // What runs elsewhere on the machine, as other tests do.
    let line = line.split("; instance ").next().unwrap_or_default();
    for word in line.split_whitespace() {
        let number = match words.last().map(String::as_str) {
            Some("pid" | "undid") => word.trim_end_matches(',').parse::<u32>().is_ok(),
            _ => false,
        };
        let bare = word.trim_matches(['(', ')', ',', ':']);
        let normal = if number {
            "NUMBER"
        } else if is_time(bare) {
            "TIME"
        } else if is_mac(bare) {
            "MAC"
        } else if word == "clsact" {
            // Kernels before 6.6 have it, and the pages say so.
            "tcx"
        } else {
            word
        };
        words.push(normal.to_owned());
    }
    words.join(" ")
}

/// As `3s`, `12m`, `40ms`.
fn is_time(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < word.len() && ["ms", "s", "m", "h", "d"].contains(&unit)
}

fn is_mac(word: &str) -> bool {
    let is_byte = |part: &str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    word.split(':').count() == 6 && word.split(':').all(is_byte)
}

#[test]
fn only_what_a_page_marks_may_differ() {
    assert!(agrees("prroute default: ok, pid 8, up 3s", "prroute default: ok, pid 91, up 12m\n"));
    assert!(agrees("eth0*   up  tcx  10.0.1.1 (1s)", "eth0* up clsact  10.0.1.1 (40s)"));
    assert!(agrees("default is not running", "default is not running; instance b runs in c"));
    assert!(agrees("a [...] c[...]", "a b c d"));
    assert!(agrees("[...]\nb\n[...]", "a\na\nb\n"));
    assert!(agrees("[...]", ""));
    assert!(!agrees("eth0 up", "eth0 down"));
    assert!(!agrees("10.0.1.1 (1s)", "10.0.1.2 (1s)"));
    assert!(!agrees("2 of 2 uplinks", "1 of 2 uplinks"));
    assert!(!agrees("a\nb", "a"));
    assert!(!agrees("a", "a\nb"));
    assert!(!agrees("[...]\nb", "a\nb\nc"));
    assert!(!agrees("a [...] c", "a b d"));
}
