//! Numbers and addresses, as words of a command.

use std::net::SocketAddr;

/// How many lines.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is no number like 20"))
}

/// A pause, at least a second.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| format!("{text:?} is no number of seconds like 2"))
}

/// Where to listen.
pub(super) fn address_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address with a port like 127.0.0.1:9713 or [::1]:9713")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn what_is_expected_is_said() {
        for (words, expected) in [
            ("events -n x", "\"x\" is no number like 20"),
            ("flows -n 1k", "\"1k\" is no number like 20"),
            ("status -w x", "\"x\" is no number of seconds like 2"),
            ("flows -w 0", "\"0\" is no number of seconds like 2"),
            (
                "metrics --listen 127.0.0.1",
                "\"127.0.0.1\" is no address with a port like 127.0.0.1:9713",
            ),
        ] {
            let cli = Cli::try_parse_from(["prroute"].into_iter().chain(words.split(' ')));
            let said = cli.map(drop).unwrap_err().to_string();
            assert!(said.contains(expected), "{words}: {said}");
        }
    }
}
