//! Every command of prroute that a page shows is one that the program takes.

use ::prroute::cli::Cli;
use anyhow::Result;
use clap::Parser as _;
use clap::error::ErrorKind;

use super::page::Page;

/// What a console block puts before a command.
const PROMPTS: [&str; 2] = ["host# ", "client$ "];

/// What stands between two commands of a line.
const SEPARATORS: [&str; 5] = ["|", "||", "&&", ";", "("];

/// A line that a shell may be given.
#[derive(Debug)]
struct Line<'a> {
    text: &'a str,
    /// Typed as it stands. In running text a command may be named without what it needs.
    is_whole: bool,
}

fn lines(page: &Page) -> Vec<Line<'_>> {
    let whole = |text| Line { text, is_whole: true };
    let named = |text| Line { text, is_whole: false };
    let mut found: Vec<Line<'_>> = page.codes.iter().map(|code| named(code.as_str())).collect();
    for block in &page.blocks {
        let lines = block.text.lines();
        match block.language.as_str() {
            "console" => found.extend(lines.filter_map(command_of).map(whole)),
            // What is indented is a table, a drawing or a message.
            "" => {
                let typed = lines.filter(|line| !line.starts_with(' '));
                found.extend(typed.map(|line| named(line.trim_start_matches("# "))));
            }
            _ => {}
        }
    }
    found
}

/// What is typed in a line of a console block, if anything is.
fn command_of(line: &str) -> Option<&str> {
    PROMPTS.iter().find_map(|prompt| line.strip_prefix(prompt))
}

/// The commands of prroute in a line, as words: without the shell's own, comments and the brackets of what may be
/// left out; of alternatives the first.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.replace("; ", " ; ");
    let words: Vec<&str> =
        line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let simple = words.split(|word| SEPARATORS.contains(word));
    let ours = simple.filter(|words| words.first() == Some(&"prroute"));
    let typed = |word: &&str| {
        let word = word.replace(['[', ']'], "");
        let first = word.split('|').next().unwrap_or_default();
        // Stands for any command.
        if first == "COMMAND" { "status".to_owned() } else { first.to_owned() }
    };
    let arguments = |words: &[&str]| {
        words.iter().take_while(|word| !word.starts_with(['<', '>'])).map(typed).collect()
    };
    ours.map(arguments).collect()
}

fn is_taken(words: &[String], is_whole: bool) -> bool {
    let Err(error) = Cli::try_parse_from(words) else { return true };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !is_whole,
        _ => false,
    }
}

#[test]
fn every_command_that_a_page_shows_exists() -> Result<()> {
    let (mut unknown, mut count) = (Vec::new(), 0);
    // The changelog may name what is gone.
    for page in Page::all()?.iter().filter(|page| page.path != "CHANGELOG.md") {
        for line in lines(page) {
            for words in commands(line.text) {
                count += 1;
                let shown = format!("{}: {}", page.path, line.text);
                unknown.extend((!is_taken(&words, line.is_whole)).then_some(shown));
            }
        }
    }
    assert!(count > 200, "{count} commands");
    assert!(unknown.is_empty(), "{unknown:#?}");
    Ok(())
}

/// A command without a prompt would be checked by nobody.
#[test]
fn every_console_block_begins_with_a_prompt() -> Result<()> {
    for page in Page::all()? {
        for block in page.blocks.iter().filter(|block| block.language == "console") {
            assert!(command_of(&block.text).is_some(), "{}:\n{}", page.path, block.text);
        }
    }
    Ok(())
}

#[test]
fn commands_are_found() {
    let of = |line| commands(line).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(
        of("prroute check && prroute down; ls # prroute x"),
        ["prroute check", "prroute down"]
    );
    assert_eq!(of("( echo ok ) | prroute try 60s"), ["prroute try 60s"]);
    assert_eq!(of("prroute export rules > rules.sh"), ["prroute export rules"]);
    assert_eq!(of("prroute wait [--timeout 10s]"), ["prroute wait --timeout 10s"]);
    assert_eq!(of("prroute explain [-4|-6] tcp|udp"), ["prroute explain -4 tcp"]);
    assert_eq!(of("systemctl enable --now prroute"), [""; 0]);
}

#[test]
fn what_the_program_does_not_know_is_not_taken() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(is_taken(&words("prroute status -s -d"), true));
    assert!(is_taken(&words("prroute export"), false));
    assert!(!is_taken(&words("prroute export"), true));
    assert!(!is_taken(&words("prroute state"), false));
    assert!(!is_taken(&words("prroute explain --verbose"), false));
}
