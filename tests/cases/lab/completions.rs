//! What shells propose, by the scripts that prroute gives them, in the shells themselves.

use anyhow::{Result, ensure};
use prroute_tests::{command, prroute};

/// What is typed, the last word not to its end, and what is proposed for that.
const TYPED: [(&[&str], &str); 5] = [
    (&["stat"], "status"),
    (&["status", "dev", "l"], "lo"),
    (&["flows", "state", "all", "and", "spo"], "sport"),
    (&["flows", "src", "127.0.0."], "127.0.0.1"),
    (&["status", "--inst"], "--instance"),
];

/// `shell` is the command that prints proposals for the words behind it, the program before them: one a
/// line, perhaps with a description behind the character that `end` is.
fn complete(shell: &[&str], end: char) -> Result<()> {
    let program = prroute::binary()?.display().to_string();
    for (words, expected) in TYPED {
        let argv = [shell, &[&program], words].concat();
        let proposed = command::run(&argv)?;
        let value = proposed.trim().split(end).next().unwrap_or_default();
        ensure!(value == expected && proposed.trim().lines().count() == 1, "{words:?}: {proposed}");
    }
    Ok(())
}

#[test]
fn bash_completes_commands_interfaces_and_words_of_a_filter() -> Result<()> {
    const SCRIPT: &str = "source <(COMPLETE=bash \"$0\"); COMP_WORDS=(prroute \"$@\"); \
                          COMP_CWORD=$#; COMP_TYPE=9; _clap_complete_prroute prroute \"${!#}\"; \
                          echo \"${COMPREPLY[@]}\"";
    complete(&["bash", "-c", SCRIPT], '\n')
}

/// `_describe` shows what it is given; here it prints that.
#[test]
fn zsh_completes_commands_interfaces_and_words_of_a_filter() -> Result<()> {
    const SCRIPT: &str = "compdef() {}; _describe() { print -rl -- ${(P)${@[-1]}} }; \
                          source <(COMPLETE=zsh $0); words=(prroute \"$@\"); CURRENT=$#words; \
                          _clap_dynamic_completer_prroute";
    complete(&["zsh", "-f", "-c", SCRIPT], ':')
}

#[test]
fn fish_completes_commands_interfaces_and_words_of_a_filter() -> Result<()> {
    const SCRIPT: &str = "COMPLETE=fish $argv[1] | source; \
                          complete --do-complete (string join -- ' ' prroute $argv[2..-1])";
    complete(&["fish", "--no-config", "-c", SCRIPT], '\t')
}
