//! Rules of iptables that handle marks: in what `iptables-save` writes, or as commands.

use std::sync::Arc;

use super::marks::{MarkRule, Marking, family};
use super::model::{Place, Setup};
use super::unread::{NotRead, Subject};
use super::words::mark;
use crate::state::observed::Mark;

/// Chains that packets meet without a rule that sends them there.
const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// A file that `iptables-save` or `ip6tables-save` has written.
pub(super) fn read(name: &str, text: &str) -> Setup {
    let is_six = |text: &str| text.contains("ip6") || text.contains(".v6");
    let says_six = text.lines().any(|line| line.starts_with('#') && is_six(line));
    let program = if says_six || is_six(name) { "ip6tables" } else { "iptables" };
    saved(name, program, text)
}

/// What a program has in the kernel, as it has just printed it.
pub(crate) fn of_program(program: &str, text: &str) -> Setup {
    let mut setup = saved(&format!("{program}-save"), program, text);
    for place in setup.marks.iter_mut().map(|rule| &mut rule.place) {
        place.line = None;
    }
    setup
}

fn saved(name: &str, program: &str, text: &str) -> Setup {
    let mut setup = Setup::default();
    let source: Arc<str> = name.into();
    let mut table = String::new();
    for (line, number) in text.lines().zip(1..) {
        let place = || Place { source: source.clone(), line: Some(number) };
        let line = line.trim();
        match line.chars().next() {
            None | Some('#' | ':') => {}
            Some('*') => line[1..].trim().clone_into(&mut table),
            // Counters stand before a rule.
            Some('[' | '-') => {
                let rule = line.split_once("] ").filter(|_| line.starts_with('['));
                let words = split(rule.map_or(line, |(_, rule)| rule));
                let read = match table.is_empty() {
                    true => Err("no line `*TABLE` stands before this rule".to_owned()),
                    false => rule_of(&words, &table, program, place(), &mut setup),
                };
                if let Err(why) = read {
                    setup.miss_of(place(), subject(&words, program), why);
                }
            }
            Some(_) if line == "COMMIT" => table.clear(),
            Some(_) => setup.miss(place(), "this is no line of iptables-save"),
        }
    }
    setup
}

/// What stands behind `iptables`: whether it is a command that makes a rule, or one that needs no word.
pub(super) fn command(
    words: &[String],
    program: &str,
    place: Place,
    setup: &mut Setup,
) -> Result<bool, NotRead> {
    let not_read = |why| NotRead::new(subject(words, program), why);
    let (table, rest) = without_options(words).map_err(|why| not_read(why.to_owned()))?;
    rule_of(&rest, table, program, place, setup).map_err(not_read)?;
    Ok(true)
}

/// What an unread rule is about.
fn subject(words: &[String], program: &str) -> Subject {
    match handles_marks(words) {
        true => Subject::Marks { family: Some(family(program)) },
        false => Subject::Other,
    }
}

/// Whether a rule, however it is written, sets or copies marks.
pub(super) fn handles_marks(words: &[String]) -> bool {
    let targets = ["MARK", "CONNMARK", "TPROXY", "HMARK"];
    let options = ["--set-mark", "--set-xmark", "--or-mark", "--xor-mark", "--restore-mark"];
    let is_target = |word: &str| targets.contains(&word);
    let mut pairs = words.windows(2);
    pairs.any(|pair| matches!(&*pair[0], "-j" | "--jump") && is_target(&pair[1]))
        || words.iter().any(|word| {
            let joined = word.strip_prefix("--jump=").or_else(|| word.strip_prefix("-j"));
            let option = word.split('=').next().unwrap_or_default();
            joined.is_some_and(is_target) || options.contains(&option)
        })
}

/// The table, and the words that are no options of the program itself.
fn without_options(words: &[String]) -> Result<(&str, Vec<String>), &'static str> {
    let is_number = |word: &&String| word.bytes().all(|byte| byte.is_ascii_digit());
    let mut table = "filter";
    let mut rest = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        match &**word {
            "-t" | "--table" => {
                table = words.next().map(String::as_str).ok_or("nothing stands behind `-t`")?;
            }
            // Seconds and microseconds, which need not be there.
            "-w" | "--wait" | "-W" | "--wait-interval" => {
                words.next_if(is_number);
            }
            "-v" | "--verbose" => {}
            other => {
                if let Some(name) = other.strip_prefix("--table=") {
                    table = name;
                } else if !["--wait=", "--wait-interval="].iter().any(|it| other.starts_with(it)) {
                    rest.push(word.clone());
                }
            }
        }
    }
    Ok((table, rest))
}

/// Words in which `"` begins and ends what belongs together.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_quoted, mut is_begun) = (false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (is_quoted, is_begun) = (!is_quoted, true),
            '\\' if is_quoted => word.extend(chars.next()),
            c if c.is_whitespace() && !is_quoted => {
                if std::mem::take(&mut is_begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                is_begun = true;
            }
        }
    }
    if is_begun {
        words.push(word);
    }
    words
}

/// Takes a rule over that handles marks; others do not matter.
fn rule_of(
    words: &[String],
    table: &str,
    program: &str,
    place: Place,
    setup: &mut Setup,
) -> Result<(), String> {
    let (chain, mut words) = match words {
        [verb, chain, rest @ ..] if matches!(&**verb, "-A" | "--append") => (chain, rest),
        [verb, chain, rest @ ..] if matches!(&**verb, "-I" | "--insert") => (chain, rest),
        // What is looked for or deleted is not there when the script has ended.
        [verb, ..] if matches!(&**verb, "-C" | "--check" | "-D" | "--delete") => return Ok(()),
        [verb, ..] if handles_marks(words) => {
            return Err(format!("what `{verb}` does with a rule about marks is not understood"));
        }
        _ => return Ok(()),
    };
    if let [position, rest @ ..] = words
        && position.parse::<u32>().is_ok()
    {
        words = rest;
    }
    let found = match matches(words)? {
        Some(found) => found,
        None if handles_marks(words) => {
            return Err("what it does with marks is not understood".to_owned());
        }
        None => return Ok(()),
    };
    let selective = found.selective || !BUILT_IN.contains(&&**chain);
    setup.marks.push(MarkRule {
        place,
        program: program.to_owned(),
        table: table.to_owned(),
        chain: chain.clone(),
        words: words.to_vec(),
        marking: found.marking,
        selective,
    });
    Ok(())
}

struct Found {
    marking: Marking,
    selective: bool,
}

/// What a rule says; `None` when it handles no marks.
fn matches(words: &[String]) -> Result<Option<Found>, String> {
    let Some(at) = words.iter().position(|word| word == "-j" || word == "--jump") else {
        return Ok(None);
    };
    let (conditions, target) = words.split_at(at);
    let [_, target, options @ ..] = target else { return Ok(None) };
    if !matches!(&**target, "MARK" | "CONNMARK") {
        return Ok(None);
    }
    let (iif, selective) = conditions_of(conditions);
    let marking = match options {
        [option, value, ..] if matches!(&**option, "--set-mark" | "--set-xmark") => {
            let Mark { value, mask } =
                mark(value).ok_or_else(|| format!("`{option} {value}`: not a mark"))?;
            // These bits are all that the rule sets.
            Marking::Set { iif, mark: Mark { value, mask } }
        }
        [option, ..] if matches!(&**option, "--restore-mark" | "--save-mark") => Marking::Copy,
        _ => {
            return Err(format!("what `-j {target} {}` does is not understood", options.join(" ")));
        }
    };
    Ok(Some(Found { marking, selective }))
}

/// The interface that packets come in on, and whether something else is asked of them, too: anything but that they are the
/// first of their connections, or have no mark yet.
fn conditions_of(words: &[String]) -> (Option<String>, bool) {
    let (mut iif, mut selective) = (None, false);
    let mut rest = words.iter().map(String::as_str);
    let mut is_not = false;
    while let Some(word) = rest.next() {
        match word {
            "!" => {
                is_not = true;
                continue;
            }
            // A glob is written with a plus.
            "-i" | "--in-interface" if !is_not => {
                iif = rest.next().map(|name| name.replace('+', "*"));
            }
            "--comment" => {
                rest.next();
            }
            "-m" | "--match" | "--ctstate" | "--state" | "--ctdir" | "--mark" => {
                let is_of_all = rest.next().is_some_and(|value| is_of_first(word, value));
                selective |= is_not || !is_of_all;
            }
            // What else it looks at makes it a rule for some packets only.
            _ => selective = true,
        }
        is_not = false;
    }
    (iif, selective)
}

/// Whether the first packet of each connection fulfils a condition, where nothing has marked it.
fn is_of_first(option: &str, value: &str) -> bool {
    match option {
        "-m" | "--match" => {
            matches!(value, "conntrack" | "state" | "mark" | "connmark" | "comment")
        }
        "--ctstate" | "--state" => value.split(',').any(|state| state == "NEW"),
        "--ctdir" => value == "ORIGINAL",
        "--mark" => mark(value).is_some_and(|mark| mark.value == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
