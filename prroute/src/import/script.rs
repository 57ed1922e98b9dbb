//! Scripts of `ip rule` and `ip route`, batches of `ip -batch`, and what these commands list.

use std::sync::Arc;

use super::iptables;
use super::model::{Place, Setup, Table};
use super::shell::{commands, joined};
use super::unread::{NotRead, Subject, is_unknown, table_unless_hidden};
use super::words::{self, Context};
use crate::family::Family;
use crate::state::observed::PROTOCOL;

pub(super) fn read(name: &str, text: &str) -> Setup {
    let mut setup = Setup::default();
    let source: Arc<str> = name.into();
    // Whose routes are listed.
    let mut listed = Context { family: Family::V4, table: Table::MAIN, device: None };
    let mut others = Vec::new();
    for (line, text) in joined(text) {
        let place = || Place { source: source.clone(), line: Some(line) };
        for words in commands(&text) {
            match command(&words, &mut listed, place(), &mut setup) {
                Ok(true) => {}
                Ok(false) => match Subject::command(&words) {
                    Subject::Other => others.push(line),
                    subject => setup.miss_of(place(), subject, "this command is not understood"),
                },
                Err(NotRead { subject, why }) => setup.miss_of(place(), subject, why),
            }
        }
    }
    others.dedup();
    if let [first, rest @ ..] = &others[..] {
        let those = match rest.len() {
            0 => "this line is".to_owned(),
            1 => "this line and 1 more are".to_owned(),
            count => format!("this line and {count} more are"),
        };
        let place = Place { source, line: Some(*first) };
        setup.miss(place, format!("{those} no `ip rule`, `ip route` or `iptables` command"));
    }
    setup
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

fn is_program(word: &str) -> bool {
    matches!(
        program(word),
        "ip" | "iptables"
            | "ip6tables"
            | "iptables-legacy"
            | "iptables-nft"
            | "ip6tables-legacy"
            | "ip6tables-nft"
            | "sudo"
    )
}

/// Whether the command is one that says what is set up.
fn command(
    words: &[String],
    listed: &mut Context,
    place: Place,
    setup: &mut Setup,
) -> Result<bool, NotRead> {
    // Behind `sudo`, a prompt, `if !`.
    let at = words.iter().position(|word| is_program(word) && program(word) != "sudo");
    let first = words.first().map(String::as_str).unwrap_or_default();
    let Some(at) = at else {
        return bare(first, words, listed, place, setup);
    };
    let arguments = words.get(at + 1..).unwrap_or_default();
    let name = words.get(at).map_or("", |word| program(word));
    if name != "ip" {
        return iptables::command(arguments, name, place, setup);
    }
    let (named_family, arguments) = options(arguments)?;
    let family = named_family.unwrap_or(Family::V4);
    let [object, verb, rest @ ..] = arguments else {
        // `ip rule` and `ip route` alone list.
        return Ok(match arguments {
            [object] if is(object, "route", 1) || is(object, "rule", 2) => {
                *listed = Context { family, table: Table::MAIN, device: None };
                true
            }
            _ => false,
        });
    };
    let (is_rule, is_route) = (is(object, "rule", 2), is(object, "route", 1));
    let lists = ["show", "list", "ls", "save"].iter().any(|word| is(verb, word, 1));
    if is_rule && lists || is_route && (lists || verb == "table") {
        let table = rest.iter().skip_while(|word| *word != "table").nth(1);
        let table = if verb == "table" { rest.first() } else { table };
        // Where all are listed, those of main have no word about it.
        let table = table.filter(|word| *word != "all").and_then(|word| Table::parse(word));
        let table = table.unwrap_or(Table::MAIN);
        *listed = Context { family, table, device: None };
        return Ok(true);
    }
    if !(is_rule || is_route) {
        return Ok(false);
    }
    // What is deleted is not there when the script has ended.
    let adds = is(verb, "add", 1)
        || ["replace", "append", "prepend", "change"].iter().any(|word| is(verb, word, 3));
    if !adds {
        return Ok(true);
    }
    let subject = || match is_rule {
        true => Subject::rule(rest, named_family),
        false => Subject::route(rest, named_family, table_unless_hidden(rest)),
    };
    if let Some(variable) = rest.iter().find(|word| is_unknown(word)) {
        let why = format!(
            "what `{variable}` stands for is known to the shell only: run the script, and import \
             this host"
        );
        return Err(NotRead::new(subject(), why));
    }
    let read = add(is_rule, rest, family, place, setup);
    read.map(|()| true).map_err(|why| NotRead::new(subject(), why))
}

fn add(
    is_rule: bool,
    words: &[String],
    family: Family,
    place: Place,
    setup: &mut Setup,
) -> Result<(), String> {
    if is_rule {
        setup.rules.push(words::rule(words, family, place)?);
    } else {
        let context = Context { family, table: Table::MAIN, device: None };
        setup.routes.push(words::route(words, context, place)?);
    }
    Ok(())
}

/// A line of a batch, or of what `ip` lists.
fn bare(
    first: &str,
    words: &[String],
    listed: &Context,
    place: Place,
    setup: &mut Setup,
) -> Result<bool, NotRead> {
    if let ("rule" | "route", Some("add" | "replace" | "append")) =
        (first, words.get(1).map(String::as_str))
    {
        // The family is that of the whole batch, unless an address says it.
        let rest = words.get(2..).unwrap_or_default();
        let read = add(first == "rule", rest, Family::V4, place, setup);
        return read.map(|()| true).map_err(|why| NotRead::new(Subject::command(words), why));
    }
    if is_ours(words) {
        return Ok(true);
    }
    if let Some(priority) = first.strip_suffix(':').and_then(|word| word.parse().ok()) {
        let rest = words.get(1..).unwrap_or_default();
        let subject = || Subject::rule(rest, Some(listed.family));
        let rule = words::rule(rest, listed.family, place);
        let mut rule = rule.map_err(|why| NotRead::new(subject(), why))?;
        rule.priority = Some(priority);
        setup.rules.push(rule);
        return Ok(true);
    }
    let subject = || Subject::route(words, Some(listed.family), Some(listed.table.clone()));
    if words::begins_route(first) {
        let route = words::route(words, listed.clone(), place);
        setup.routes.push(route.map_err(|why| NotRead::new(subject(), why))?);
        return Ok(true);
    }
    if first == "nexthop" {
        return Err(NotRead::new(subject(), "a way of the route above it is not read"));
    }
    Ok(false)
}

/// Whether a rule or route has prroute's protocol, by its number or by the name that the packages give it
/// (`packaging/iproute2/rt_protos.conf`).
fn is_ours(words: &[String]) -> bool {
    let number = PROTOCOL.to_string();
    let is_protocol = |word: &str| word == number || word == "prroute";
    let mut pairs = words.windows(2);
    pairs.any(|pair| matches!(&*pair[0], "proto" | "protocol") && is_protocol(&pair[1]))
}

/// The family that options of `ip` name, and what stands behind them.
fn options(words: &[String]) -> Result<(Option<Family>, &[String]), NotRead> {
    let other = |why: &str| NotRead::new(Subject::Other, why);
    let mut family = None;
    let mut rest = words;
    while let [word, behind @ ..] = rest
        && let Some(option) = word.strip_prefix('-')
    {
        rest = behind;
        match option.trim_start_matches('-') {
            "4" => family = Some(Family::V4),
            "6" => family = Some(Family::V6),
            "f" | "family" => match rest {
                [name, behind @ ..] => {
                    family = Some(if name == "inet6" { Family::V6 } else { Family::V4 });
                    rest = behind;
                }
                [] => return Err(other("nothing stands behind `-f`")),
            },
            "n" | "netns" => return Err(other("it is about another network namespace (`-n`)")),
            // From standard input they may be what stands below.
            "b" | "batch" if rest.first().is_some_and(|file| file != "-") => {
                let why =
                    "what is in the batch is not read: put its lines in the place of this one";
                return Err(NotRead::new(Subject::Anything, why));
            }
            _ => {}
        }
    }
    Ok((family, rest))
}

/// Whether a word stands for one of `ip`, which may be shortened to so many letters.
fn is(word: &str, whole: &str, least: usize) -> bool {
    word.len() >= least && whole.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<String> {
        read("s", text).rules.iter().map(ToString::to_string).collect()
    }

    fn unread(text: &str) -> Vec<String> {
        read("s", text).unread.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commands_are_found_as_they_are_typed() {
        for line in [
            "ip rule add from 10.0.0.1 lookup 7",
            "sudo ip rule add from 10.0.0.1 lookup 7",
            "$ sudo /sbin/ip -4 ru a from 10.0.0.1 table 7",
            "admin@host:~$ ip rule add from 10.0.0.1 lookup 7 # why",
            "if ! ip rule add from 10.0.0.1 lookup 7; then",
            "true && ip rule add from '10.0.0.1' \\\n  lookup 7",
            "rule add from 10.0.0.1 lookup 7",
            "ip rule add from 10.0.0.1 lookup 7 2>/dev/null || true",
            "ip rule add from 10.0.0.1 lookup 7 > /dev/null 2>&1",
            "\tip rule add from 10.0.0.1 lookup 7 || exit 1",
        ] {
            assert_eq!(rules(line), ["from 10.0.0.1/32 lookup 7"], "{line}");
        }
    }

    #[test]
    fn what_is_commented_out_or_deleted_is_not_set_up() {
        for line in ["# ip rule add from 10.0.0.1 lookup 7", "ip rule del from 10.0.0.1 lookup 7"] {
            assert_eq!(read("s", line), Setup::default(), "{line}");
        }
    }

    /// An administrator's listing of an instance with two interfaces.
    #[test]
    fn listings_are_read_too() {
        let setup = read(
            "s",
            "admin@ip-10-0-0-129:~$ ip -4 rule\n0: from all lookup local\n\
             10003: from 10.0.0.204 lookup 10003\n32766: from all lookup main\n\
             admin@ip-10-0-0-129:~$ ip -4 ro sh table 10003\n\
             default via 10.0.0.1 dev ens6 src 10.0.0.204\n\
             10.0.0.0/24 dev ens6 scope link src 10.0.0.204\n\
             admin@ip-10-0-0-129:~$ ip -6 ro sh table 10003\n\
             default via fe80::8f:53ff:fe6f:64ef dev ens6 metric 1024 pref medium\n",
        );
        assert_eq!(setup.unread, []);
        assert_eq!(setup.rules.len(), 3);
        assert_eq!(setup.rules[1].priority, Some(10_003));
        let tables: Vec<_> = setup.routes.iter().map(|route| &route.table).collect();
        assert_eq!(tables, [&Table::Number(10_003); 3]);
        assert_eq!(setup.routes[2].family(), Family::V6);
    }

    #[test]
    fn what_is_prroutes_is_nothing_to_replace() {
        let listing = "21000:\tfrom all nop proto 213\n\
                       21030:\tfrom 10.0.2.0/24 iif lo lookup 21002 proto 213\n\
                       default via 10.0.2.1 dev eth1 table 21002 proto 213\n";
        assert_eq!(read("s", listing), Setup::default());
        let by_names = listing.replace("proto 213", "proto prroute");
        assert_eq!(read("s", &by_names.replace("21002", "prroute")), Setup::default());
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        assert_eq!(
            unread("ip route add default via 10.255.72.1 dev eth 1 table users"),
            ["s:1: `1` is not understood"]
        );
        assert_eq!(
            unread("\n\necho hello\nip rule add from 10.0.0.1 lookup 7\nfi\n"),
            ["s:3: this line and 1 more are no `ip rule`, `ip route` or `iptables` command"]
        );
        let said = unread("ip rule add from ${ip} lookup 7");
        assert!(said[0].starts_with("s:1: what `${ip}` stands for"), "{said:?}");
    }
}
