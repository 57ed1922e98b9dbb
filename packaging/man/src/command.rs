//! prroute(8), and a page for each command.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use prroute::cli::Cli;

use crate::Page;
use crate::text::{list, paragraph, tidy, verbatim};

const SECTION: &str = "8";
const MANUAL: &str = "prroute";

/// Begins a paragraph of the help that is about exit codes.
const EXIT_CODES: &str = "Exit codes: ";

/// What the help's examples begin with.
const EXAMPLES: &str = "Examples:\n";

const FILES: [(&str, &str); 5] = [
    (
        "/etc/prroute/prroute.toml, /etc/prroute/conf.d/*.toml",
        "the configuration; nothing has to be configured: prroute.toml(5)",
    ),
    ("/usr/lib/prroute/", "a vendor's configuration, by the same names"),
    ("/run/prroute/NAME/", "an instance: what has to be undone, and the socket of its daemon"),
    (
        "/var/lib/prroute/NAME/ids.json",
        "which uplink has which id, and so which table, over reboots",
    ),
    ("/sys/fs/bpf/prroute/NAME/", "the maps and links of the programs, which outlive the daemon"),
];

/// Of the program, and of every command that the help shows.
pub(crate) fn pages(date: &str) -> Vec<Page> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, date, &mut pages);
    pages
}

fn add(command: &Command, date: &str, pages: &mut Vec<Page>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add(below, date, pages);
    }
    pages.push(page(command, date));
}

fn page(command: &Command, date: &str) -> Page {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(without_full_stop(command))
        .section(SECTION)
        .date(date)
        .source(format!("{MANUAL} {version}"))
        .manual(MANUAL);
    let mut text = Vec::new();
    // Nothing can fail that is written to memory; if it did, the page would be missed by its test.
    let written = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| match command.has_subcommands() {
            true => man.render_subcommands_section(&mut text),
            false => Ok(()),
        })
        .and_then(|()| rest(command, &name).to_writer(&mut text));
    let text = written.map(|()| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    Page { file: format!("{name}.{SECTION}"), text: tidy(&text) }
}

/// What a page's name is followed by is no sentence.
fn without_full_stop(command: &Command) -> Command {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map_or_else(|| about.clone(), ToString::to_string);
    command.clone().about(about.trim_end_matches('.').to_owned()).long_about(long)
}

/// What the help says before and after the options, and where else to look.
fn rest(command: &Command, name: &str) -> Roff {
    let mut roff = Roff::new();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let paragraphs: Vec<&str> = after.split("\n\n").filter(|part| !part.is_empty()).collect();
    let (codes, notes): (Vec<&str>, Vec<&str>) =
        paragraphs.into_iter().partition(|part| part.starts_with(EXIT_CODES));
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        notes.iter().for_each(|note| paragraph(&mut roff, &[roman(*note)]));
    }
    if !codes.is_empty() {
        roff.control("SH", ["EXIT STATUS"]);
        let codes = codes.iter().map(|part| part.trim_start_matches(EXIT_CODES));
        codes.for_each(|part| paragraph(&mut roff, &[roman(part)]));
    }
    let is_program = !name.contains('-');
    if is_program {
        roff.control("SH", ["FILES"]);
        list(&mut roff, &FILES);
    }
    if let Some(examples) = command.get_before_long_help() {
        let examples = examples.to_string();
        verbatim(&mut roff, "EXAMPLES", examples.strip_prefix(EXAMPLES).unwrap_or(&examples));
    }
    roff.control("SH", ["SEE ALSO"]);
    let others = if is_program { "" } else { "prroute(8), " };
    roff.text([roman(format!("{others}prroute.toml(5), ip-rule(8), ip-route(8), tc(8)"))]);
    roff
}
