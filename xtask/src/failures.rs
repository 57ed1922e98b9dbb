//! What failed tests said, once more at the end: among thousands of lines nobody finds it.

use std::fmt;

/// Of one test so many lines are repeated: a daemon's log, and what went wrong after it.
const LINES: usize = 40;

#[derive(Debug, Default)]
pub(crate) struct Failures {
    tests: Vec<Failure>,
    part: Part,
}

#[derive(Debug)]
struct Failure {
    name: String,
    said: Vec<String>,
}

#[derive(Debug, Default, PartialEq)]
enum Part {
    /// Of no failed test.
    #[default]
    Elsewhere,
    /// What a test printed before it failed.
    Before,
    Error,
}

impl Failures {
    /// The next line of libtest.
    pub(crate) fn note(&mut self, line: &str) {
        let header = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = header {
            self.tests.push(Failure { name: name.to_owned(), said: Vec::new() });
            self.part = Part::Before;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.part = Part::Elsewhere;
        } else if self.part == Part::Error && line.eq_ignore_ascii_case("stack backtrace:") {
            self.part = Part::Before;
        } else if self.part != Part::Elsewhere {
            if line.starts_with("Error: ") || line.starts_with("thread '") {
                self.part = Part::Error;
            }
            if let (Part::Error, Some(test)) = (&self.part, self.tests.last_mut())
                && test.said.len() < LINES
                && !line.is_empty()
            {
                test.said.push(line.to_owned());
            }
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Failure { name, said } in &self.tests {
            writeln!(f, "failed: {name}")?;
            said.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_each_failed_test_is_repeated_without_its_backtrace() {
        let output = "test a ... ok\n\nfailures:\n\n---- b::c stdout ----\na log\n\nError: no answer\n\
                      Caused by:\n    0: eth0\n\nStack backtrace:\n   0: main\n\n---- d stdout ----\n\n\
                      thread 'd' (7) panicked at x.rs:1:2:\nwrong\nstack backtrace:\n   0: main\n\n\
                      failures:\n    b::c\n    d\n\ntest result: FAILED. 1 passed; 2 failed\n";
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.note(line));
        assert_eq!(
            failures.to_string(),
            "failed: b::c\n    Error: no answer\n    Caused by:\n        0: eth0\nfailed: d\n    \
             thread 'd' (7) panicked at x.rs:1:2:\n    wrong\n"
        );
    }
}
