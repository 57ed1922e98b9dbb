//! `docs/reference/commands.md`: what `--help` of each command prints.

use ::prroute::cli::Cli;
use anyhow::Result;
use clap::{Command, CommandFactory as _};

use super::expect_page;

const BEGIN: &str = "\
# Every command

What `prroute COMMAND --help` prints; this page is written from the program. What the commands are for is told in
[the commands](../commands.md). The man pages say the same: `man prroute-status`.
";

/// Of a terminal.
const WIDTH: usize = 80;

fn describe(command: &mut Command, name: &str, page: &mut String) {
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    *page += &format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim());
    for nested in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
        let name = format!("{name} {}", nested.get_name());
        describe(nested, &name, page);
    }
}

#[test]
fn the_page_of_commands_is_what_help_prints() -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let mut page = BEGIN.to_owned();
    describe(&mut command, "prroute", &mut page);
    expect_page("commands.md", &page)
}
