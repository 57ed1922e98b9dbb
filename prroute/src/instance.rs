//! Instances: several prroutes side by side, one per network namespace.

use std::fmt;
use std::str::FromStr;

/// A valid instance name; it becomes a directory on bpffs and below `/run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

/// Longest instance name in bytes.
const MAX_LENGTH: usize = 32;

impl Instance {
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The one that commands mean which name none.
    pub(crate) fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // bpffs refuses dots.
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > MAX_LENGTH || !name.chars().all(valid) {
            return Err(format!(
                "an instance name has 1 to {MAX_LENGTH} letters, digits, '-' or '_'"
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Instance;

    #[test]
    fn a_name_that_would_leave_its_directory_is_refused() {
        for name in ["", ".", "..", "a/b", "a.b", "äther", &"x".repeat(33)] {
            assert!(name.parse::<Instance>().is_err(), "{name:?} was accepted");
        }
        assert_eq!("lab-1_b".parse::<Instance>().unwrap().name(), "lab-1_b");
    }
}
