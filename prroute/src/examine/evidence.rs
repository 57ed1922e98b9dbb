//! The evidence of a finding: few lines, however much there is.

/// At most `limit` of the lines, and how many there are beyond them.
pub(super) fn first(limit: usize, lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = lines.len().saturating_sub(limit);
    let rest = (more > 0).then(|| format!("and {more} more"));
    lines.take(limit).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted() {
        let lines = |count: usize| (0..count).map(|number| number.to_string());
        assert_eq!(first(2, lines(2)), ["0", "1"]);
        assert_eq!(first(2, lines(5)), ["0", "1", "and 3 more"]);
        assert_eq!(first(2, lines(0)), [""; 0]);
    }
}
