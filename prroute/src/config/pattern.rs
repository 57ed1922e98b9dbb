//! Interface names and globs: `*` is any run of characters, `?` is one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name, or a glob of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one name.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut p, mut n) = (0, 0);
        // Where to go on when a match fails: behind the last star, one character later.
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    retry = Some((p + 1, n));
                    p += 1;
                }
                Some(&c) if c == '?' || c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match retry {
                    Some((behind, from)) => {
                        retry = Some((behind, from + 1));
                        (p, n) = (behind, from + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_only_itself() {
        assert!(Pattern::new("eth0").matches("eth0"));
        assert!(!Pattern::new("eth0").matches("eth01"));
        assert!(!Pattern::new("eth0").matches("eth"));
        assert!(!Pattern::new("").matches("eth0"));
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("eth*", "eth0", true),
            ("eth*", "eth", true),
            ("*", "anything", true),
            ("eth?", "eth10", false),
            ("e*h?", "eth1", true),
            ("e*.10", "eth0.10", true),
            ("e*.10", "eth0.100", false),
            ("*a*b", "aXbab", true),
            ("*a*b", "aXbaX", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }
}
