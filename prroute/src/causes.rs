//! Errors with all their causes. Many a library's error names its operation only, and leaves the
//! reason, with its error number, to its source.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes in one line; a cause that its effect has told is not told again.
#[derive(Debug)]
pub(crate) struct WithCauses<'a>(&'a (dyn Error + 'static));

pub(crate) fn with_causes<'a>(error: &'a (dyn Error + 'static)) -> WithCauses<'a> {
    WithCauses(error)
}

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.contains(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("`{call}` failed")]
    struct Silent {
        call: &'static str,
        #[source]
        reason: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("attach to eth1: {0}")]
    struct Telling(#[source] Silent);

    #[test]
    fn each_cause_is_told_once() {
        let reason = io::Error::from_raw_os_error(19);
        let error = Telling(Silent { call: "bpf_link_create", reason });
        assert_eq!(
            with_causes(&error).to_string(),
            "attach to eth1: `bpf_link_create` failed: No such device (os error 19)"
        );
    }
}
