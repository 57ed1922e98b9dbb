//! Rules of iptables that handle marks: in what `iptables-save` writes, or as commands.

use std::sync::Arc;

use super::marks::{MarkRule, Marking};
use super::model::{Place, Setup};
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
                if table.is_empty() {
                    setup.miss(place(), "no line `*TABLE` stands before this rule");
                } else if let Err(why) = rule_of(&words, &table, program, place(), &mut setup) {
                    setup.miss(place(), why);
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
) -> Result<bool, String> {
    let mut table = "filter";
    let mut rest = Vec::new();
    let mut words_left = words.iter();
    while let Some(word) = words_left.next() {
        if word == "-t" || word == "--table" {
            table = words_left.next().map(String::as_str).ok_or("nothing stands behind `-t`")?;
        } else if word != "-w" && word != "--wait" {
            rest.push(word.clone());
        }
    }
    rule_of(&rest, table, program, place, setup)?;
    Ok(true)
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
        _ => return Ok(()),
    };
    if let [position, rest @ ..] = words
        && position.parse::<u32>().is_ok()
    {
        words = rest;
    }
    let Some(found) = matches(words)? else { return Ok(()) };
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
    let (mut iif, mut selective) = (None, false);
    let mut rest = conditions.iter();
    let mut is_not = false;
    while let Some(word) = rest.next() {
        match &**word {
            "!" => {
                is_not = true;
                continue;
            }
            // A glob is written with a plus.
            "-i" | "--in-interface" if !is_not => {
                iif = rest.next().map(|name| name.replace('+', "*"));
            }
            "-m" | "--match" | "--ctstate" | "--ctdir" | "--state" | "--mark" | "--comment" => {
                rest.next();
            }
            // What else it looks at makes it a rule for some packets only.
            _ => selective = true,
        }
        is_not = false;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The marks of an administrator whose containers answer on the second interface.
    const SAVED: &str = "\
*mangle
-A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
[12:3456] -A PREROUTING -i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL -j CONNMARK --set-xmark 0x1/0xffffffff
-A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m comment --comment \"a b\" -j ACCEPT
COMMIT
";

    #[test]
    fn marks_of_connections_are_read_as_they_are_saved() {
        let setup = read("rules.v4", SAVED);
        assert_eq!(setup.unread, []);
        let [restore, set, own] = &setup.marks[..] else { panic!("{:?}", setup.marks) };
        let mark = Mark { value: 1, mask: u32::MAX };
        assert_eq!(set.marking, Marking::Set { iif: Some("eth1".to_owned()), mark });
        assert_eq!((&restore.marking, &own.marking), (&Marking::Copy, &Marking::Copy));
        assert!(!set.selective && !restore.selective && !own.selective);
        assert_eq!(
            set.deletion(),
            "iptables -t mangle -D PREROUTING -i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL \
             -j CONNMARK --set-xmark 0x1/0xffffffff"
        );
        assert!(own.deletion().contains(" ! --ctstate NEW "), "{}", own.deletion());
        assert_eq!(read("ip6tables", SAVED).marks[0].program, "ip6tables");
    }

    #[test]
    fn a_rule_for_some_packets_only_says_so() {
        for rule in [
            "-A PREROUTING -i eth1 -p tcp --dport 80 -j CONNMARK --set-mark 1",
            "-A PREROUTING ! -i eth1 -j MARK --set-mark 1",
            "-A mine -i eth1 -j MARK --set-mark 1",
        ] {
            let setup = read("s", &format!("*mangle\n{rule}\n"));
            assert!(setup.marks[0].selective, "{rule}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        let said =
            |text| read("s", text).unread.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            said("-A PREROUTING -j MARK --set-mark 1"),
            ["s:1: no line `*TABLE` stands before this rule"]
        );
        assert_eq!(
            said("*mangle\n-A PREROUTING -j MARK --or-mark 1\n"),
            ["s:2: what `-j MARK --or-mark 1` does is not understood"]
        );
        assert_eq!(said("hello"), ["s:1: this is no line of iptables-save"]);
    }
}
