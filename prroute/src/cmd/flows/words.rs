//! The words of a filter.

/// A word, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// What stands between white space; parentheses and operators need none around them.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = length(rest);
        if !rest.starts_with(char::is_whitespace) {
            words.push(Word { text: &rest[..length], at });
        }
        at += length;
    }
    words
}

/// Of the first word, or of the white space before it.
fn length(rest: &str) -> usize {
    let operators = ["&&", "||", "!=", "==", "<=", ">=", "(", ")", "!", "=", "<", ">", "&", "|"];
    if let Some(operator) = operators.into_iter().find(|operator| rest.starts_with(operator)) {
        return operator.len();
    }
    let is_space = rest.starts_with(char::is_whitespace);
    let is_other = |c: char| c.is_whitespace() != is_space || "()!=<>&|".contains(c);
    rest.find(is_other).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_need_no_room() {
        let found: Vec<_> = words("  (sport>=:80)||!dev  eth0 ").iter().map(|it| it.text).collect();
        assert_eq!(found, ["(", "sport", ">=", ":80", ")", "||", "!", "dev", "eth0"]);
        assert_eq!(words("a  b")[1].at, 3);
        assert!(words(" ").is_empty() && words("").is_empty());
    }
}
