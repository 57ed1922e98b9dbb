//! The two texts: a configuration, and the script that removes what it replaces.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::marks::Marking;
use super::model::{Device, Place, Rule};
use super::translate::{Entry, Import};
use crate::family::Family;
use crate::instance::Instance;
use crate::state::observed::Mark;

/// Columns of a comment.
const WIDTH: usize = 78;
/// For how long the script waits for the daemon.
const PATIENCE: &str = "60s";
/// Of a rule whose own priority is not known: before main's, behind all that `ip rule add` makes.
const LAST_PRIORITY: u32 = 32_765;

const BIND_DEVICE: &str = "bind-device = true\n";
/// The line behind the configuration in the script, with quotes where the shell is to replace nothing in it. A
/// configuration has no such line: its strings are within quotes.
const END: &str = "CONFIGURATION";

/// The connections that are waited for. Where they cannot be listed, as long as UDP's are remembered.
const CONNECTIONS: &str = "\
connections() {
  cat /proc/net/nf_conntrack 2> /dev/null || for family in ipv4 ipv6; do
    conntrack -L -f $family 2> /dev/null || true
  done
}
[ -r /proc/net/nf_conntrack ] || command -v conntrack > /dev/null || sleep 180
";
const WAIT_FOR_MARKED: &str = "\
while connections | grep -v -E '(^| )(tcp|icmp|icmpv6) ' | grep -q -w -E 'mark=(VALUES)'; do
  sleep 1
done
";
/// Where others have the rest of the mark's bits. A pipe's end may be in this shell or in one of its own.
const WAIT_FOR_BITS: &str = "\
marked() {
  connections | grep -v -E '(^| )(tcp|icmp|icmpv6) ' |
    sed -n 's/.*[[:space:]]mark=\\([0-9][0-9]*\\).*/\\1/p' | (
      while read -r mark; do
        if CONDITION; then exit 0; fi
      done
      exit 1
    )
}
while marked; do
  sleep 1
done
";

impl Import {
    /// A configuration file. What stays, and what is different, are comments in it.
    pub(crate) fn configuration(&self) -> String {
        let mut text = String::new();
        comment(&mut text, "prroute's configuration in place of rules and tables of others.");
        comment(
            &mut text,
            "Interfaces without an entry are found, as `prroute plan` shows. What this replaces, \
             `prroute import --removal` removes.",
        );
        if self.bind_device {
            text.push_str(&format!("\n{BIND_DEVICE}"));
        }
        for (device, entry) in &self.uplinks {
            text.push('\n');
            for rule in &entry.instead_of {
                comment(&mut text, &format!("instead of: {rule}"));
            }
            uplink(&mut text, device, entry);
        }
        self.write_remarks(&mut text);
        text
    }

    /// The same without a comment.
    fn keys(&self) -> String {
        let mut text = if self.bind_device { BIND_DEVICE.to_owned() } else { String::new() };
        for (device, entry) in &self.uplinks {
            uplink(&mut text, device, entry);
        }
        text
    }

    fn write_remarks(&self, text: &mut String) {
        if !self.kept.is_empty() {
            text.push('\n');
            comment(text, "Not carried over; it stays as it is:");
        }
        for kept in &self.kept {
            item(text, &format!("{} ({}): {}", kept.what, kept.place, kept.why));
        }
        if !self.unread.is_empty() {
            text.push('\n');
            comment(text, "Not read; it stays as it is, with all that it may need:");
        }
        for unread in &self.unread {
            item(text, &unread.to_string());
        }
        if !self.notes.is_empty() {
            text.push('\n');
            comment(text, "Different from before:");
        }
        for note in &self.notes {
            item(text, note);
        }
    }

    /// A script for a shell. `managers` are programs that may make all this again.
    pub(crate) fn removal(&self, instance: &Instance, managers: &[&str]) -> String {
        let mut text = "#!/bin/sh\n".to_owned();
        comment(
            &mut text,
            "Removes what prroute replaces, while its daemon runs with the configuration that \
             `prroute import` has printed. Each packet has a way at any moment: prroute's rules are \
             there before others go, and rules go before the tables that they look up.",
        );
        text.push_str("set -e\n");
        let instance = match instance.is_default() {
            true => String::new(),
            false => format!(" --instance {instance}"),
        };
        let wait = format!("prroute wait --timeout {PATIENCE}{instance}\n");
        // The daemon answers when it has brought into force what it has read and seen.
        let reload = format!("prroute reload{instance} > /dev/null\n");
        text.push_str(&format!("{wait}{reload}"));
        self.write_condition(&mut text, &instance);
        self.write_rules(&mut text, &format!("{reload}{wait}"));
        self.write_rest(&mut text);
        self.write_files(&mut text, managers);
        self.write_remarks(&mut text);
        text
    }

    /// Without the configuration prroute may know none of the uplinks: what led over them would be gone.
    fn write_condition(&self, text: &mut String, instance: &str) {
        text.push('\n');
        comment(text, "Ends here unless the daemon works with what `prroute import` has printed.");
        text.push_str(&format!(
            "prroute check --offline --in-force{instance} - > /dev/null << '{END}'\n"
        ));
        text.push_str(&self.keys());
        text.push_str(END);
        text.push('\n');
    }

    fn write_rules(&self, text: &mut String, until_in_force: &str) {
        if !self.source_rules.is_empty() {
            text.push('\n');
            comment(
                text,
                "Where a rule for a source is, prroute makes none. Two rules for halves of all \
                 destinations do the same work, and are not taken for one.",
            );
        }
        for rule in &self.source_rules {
            for half in halves(rule) {
                line(text, rule.family, &format!("rule add {half}"));
            }
            line(text, rule.family, &format!("rule del {rule}"));
        }
        if !self.source_rules.is_empty() {
            text.push_str(until_in_force);
        }
        for half in self.source_rules.iter().flat_map(halves) {
            line(text, half.family, &format!("rule del {half}"));
        }
        self.write_setters(text);
        if !self.rules.is_empty() || !self.specific_rules.is_empty() {
            text.push('\n');
            comment(text, "prroute does the work of these since its start.");
        }
        for rule in self.rules.iter().chain(&self.specific_rules) {
            line(text, rule.family, &format!("rule del {rule}"));
        }
    }

    /// New connections get no mark; those that have one keep their way until they end.
    fn write_setters(&self, text: &mut String) {
        let setters = self.marks.iter().filter_map(|rule| match rule.marking {
            Marking::Set { mark, .. } => Some((rule, mark)),
            Marking::Copy => None,
        });
        let (rules, marks): (Vec<_>, BTreeSet<Mark>) = setters.unzip();
        if rules.is_empty() {
            return;
        }
        text.push('\n');
        comment(
            text,
            "New connections get no mark. Those that have one keep their way by it: prroute takes \
             TCP over, and the others are waited for. To interrupt this is safe; what stands below \
             can be run later.",
        );
        for rule in rules {
            text.push_str(&rule.deletion());
            text.push('\n');
        }
        text.push_str(CONNECTIONS);
        text.push_str(&match marks.iter().all(|mark| mark.mask == u32::MAX) {
            true => {
                let values: Vec<String> = marks.iter().map(|mark| mark.value.to_string()).collect();
                WAIT_FOR_MARKED.replace("VALUES", &values.join("|"))
            }
            false => {
                let has = |Mark { value, mask }: &Mark| {
                    // What a rule sets beside its mask is the connection's, too.
                    format!("[ $((mark & {:#x})) -eq {value} ]", mask | value)
                };
                let conditions: Vec<String> = marks.iter().map(has).collect();
                WAIT_FOR_BITS.replace("CONDITION", &conditions.join(" || "))
            }
        });
    }

    fn write_rest(&self, text: &mut String) {
        let copies = || self.marks.iter().filter(|rule| rule.marking == Marking::Copy);
        if copies().next().is_some() {
            text.push('\n');
            comment(text, "No rule looks at marks any more.");
        }
        for rule in copies() {
            text.push_str(&rule.deletion());
            text.push('\n');
        }
        if !self.tables.is_empty() {
            text.push('\n');
            comment(text, "No rule looks these tables up any more.");
        }
        for (family, table) in &self.tables {
            line(text, *family, &format!("route flush table {table}"));
        }
    }

    /// What would make it again at the next boot.
    fn write_files(&self, text: &mut String, managers: &[&str]) {
        let rules = self.source_rules.iter().chain(&self.rules).chain(&self.specific_rules);
        let rules = rules.map(|rule| &rule.place);
        let places = rules.chain(self.marks.iter().map(|rule| &rule.place)).chain(&self.places);
        let mut lines: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for Place { source, line } in places {
            lines.entry(source).or_default().extend(line);
        }
        text.push('\n');
        comment(
            text,
            "So that it does not come back with the next boot, delete it where it is configured:",
        );
        for (source, lines) in &lines {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let words = match lines.is_empty() {
                true => format!("{source}: the scripts, units or programs that set this up"),
                false => format!("{source}: what begins in line {}", lines.join(", ")),
            };
            item(text, &words);
        }
        for manager in managers {
            item(text, &format!("{manager} is here, and may have made them"));
        }
    }
}

fn uplink(text: &mut String, device: &Device, entry: &Entry) {
    text.push_str("[[uplink]]\n");
    let (key, value) = match device {
        Device::Name(name) => ("name", name),
        Device::Mac(mac) => ("mac", mac),
    };
    put(text, key, toml::Value::from(value.as_str()));
    let list = |all: Vec<String>| toml::Value::from(all);
    if !entry.gateways.is_empty() {
        put(text, "gateway", list(entry.gateways.iter().map(ToString::to_string).collect()));
    }
    if entry.hold {
        put(text, "on-down", toml::Value::from("hold"));
    }
    if !entry.to.is_empty() {
        put(text, "to", list(entry.to.iter().map(ToString::to_string).collect()));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "values are made in place")]
fn put(text: &mut String, key: &str, value: toml::Value) {
    text.push_str(&format!("{key} = {value}\n"));
}

/// The same rule for each half of all destinations.
fn halves(rule: &Rule) -> Vec<Rule> {
    let halves = match rule.family {
        Family::V4 => ["0.0.0.0/1", "128.0.0.0/1"],
        Family::V6 => ["::/1", "8000::/1"],
    };
    let priority = rule.priority.unwrap_or(LAST_PRIORITY);
    let halves = halves.iter().filter_map(|half| half.parse::<IpNet>().ok());
    let rule = |half| Rule { to: Some(half), priority: Some(priority), ..rule.clone() };
    halves.map(rule).collect()
}

fn line(text: &mut String, family: Family, words: &str) {
    let program = match family {
        Family::V4 => "ip",
        Family::V6 => "ip -6",
    };
    text.push_str(&format!("{program} {words}\n"));
}

fn comment(text: &mut String, words: &str) {
    wrapped(text, "# ", "# ", words);
}

fn item(text: &mut String, words: &str) {
    wrapped(text, "# * ", "#   ", words);
}

/// Fills lines; no word is divided, and none begins a line of its own by what is in it.
fn wrapped(text: &mut String, first: &str, next: &str, words: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    let plain = |c: char| if c.is_control() { '?' } else { c };
    for word in words.split(' ') {
        let word: String = word.chars().map(plain).collect();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            next.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(&word);
        is_empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}
