//! Rules of netfilter that name an uplink: what prroute moves to another uplink has passed netfilter
//! before, as a packet that leaves by the uplink which routing chose.

use std::fs;
use std::net::IpAddr;

use crate::examine::evidence;
use crate::netlink::nftables::{FilterRule, Ruling, Subject};
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::Observed;
use crate::state::uplink::{Ifindex, Uplink};

/// So many rules are shown.
const SHOWN: usize = 5;

pub(super) fn findings(
    rules: &[FilterRule],
    uplinks: &[Uplink],
    observed: &Observed,
) -> Vec<Finding> {
    let mut all = Vec::new();
    for uplink in uplinks {
        let target = Target {
            name: &uplink.device.name,
            ifindex: uplink.device.ifindex,
            addresses: observed
                .addresses_on(uplink.device.ifindex)
                .map(|address| address.net.addr())
                .collect(),
        };
        all.extend(target.drops(rules));
        all.extend(target.by_output(rules));
    }
    all
}

/// An uplink, as rules may name it.
struct Target<'a> {
    name: &'a str,
    ifindex: Ifindex,
    addresses: Vec<IpAddr>,
}

impl Target<'_> {
    /// Whether it drops all packets of the uplink, or of its address, that come to the host or that the
    /// host sends. A rule behind others is the end of a list of what is let through; a chain of another
    /// name is asked from elsewhere, or about what is forwarded.
    fn is_dropped_by(&self, rule: &FilterRule) -> bool {
        let is_about = |subject: &Subject| match subject {
            Subject::Input(_) | Subject::InputIndex(_) | Subject::Destination(_) => {
                rule.chain.eq_ignore_ascii_case("input")
            }
            Subject::Output(_) | Subject::OutputIndex(_) | Subject::Source(_) => {
                rule.chain.eq_ignore_ascii_case("output")
            }
        };
        rule.ruling == Ruling::Drop
            && rule.is_first
            && !rule.is_narrow
            && rule.subjects.iter().all(|subject| self.is_named(subject) && is_about(subject))
    }

    fn drops(&self, rules: &[FilterRule]) -> Option<Finding> {
        let found: Vec<_> = rules.iter().filter(|rule| self.is_dropped_by(rule)).collect();
        let [first, ..] = found.as_slice() else { return None };
        let name = self.name;
        let (directions, comes) = match first.subjects.first() {
            Some(Subject::Input(_) | Subject::InputIndex(_) | Subject::Destination(_)) => {
                ("comes in", "requests are not heard")
            }
            _ => ("leaves", "replies are lost, whichever uplink prroute would move them to"),
        };
        Some(Finding {
            severity: Severity::Warning,
            what: format!("{name}: netfilter drops what {directions} here: {comes}"),
            // Only the administrator knows what the rule is for: its deletion is no command to be typed.
            remedy: Some(format!("if that is not meant: {}", delete(first))),
            device: Some(name.to_owned()),
            evidence: shown(&found),
            ..Finding::about(Kind::NftDrop, name)
        })
    }

    /// Rules that decide by the interface that a packet leaves by.
    fn by_output(&self, rules: &[FilterRule]) -> Option<Finding> {
        let decides = |rule: &&FilterRule| {
            let is_output =
                |it: &Subject| matches!(it, Subject::Output(_) | Subject::OutputIndex(_));
            let names = rule.subjects.iter().any(|it| is_output(it) && self.is_named(it));
            names
                && matches!(rule.ruling, Ruling::Drop | Ruling::Other)
                && !self.is_dropped_by(rule)
        };
        let found: Vec<_> = rules.iter().filter(decides).collect();
        let count = match found.len() {
            0 => return None,
            1 => "a netfilter rule decides".to_owned(),
            many => format!("{many} netfilter rules decide"),
        };
        let name = self.name;
        Some(Finding {
            severity: Severity::Notice,
            what: format!(
                "{name}: {count} by this output interface, which for a reply that prroute moves is the \
                 one that routing chose, and not the one it leaves by"
            ),
            remedy: Some("let such rules hold for every uplink".to_owned()),
            device: Some(name.to_owned()),
            evidence: shown(&found),
            ..Finding::about(Kind::NftOif, name)
        })
    }

    fn is_named(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Input(name) | Subject::Output(name) => match name.strip_suffix('*') {
                Some(beginning) => self.name.starts_with(beginning),
                None => self.name == name,
            },
            Subject::InputIndex(index) | Subject::OutputIndex(index) => self.ifindex.0 == *index,
            Subject::Source(address) | Subject::Destination(address) => {
                self.addresses.contains(address)
            }
        }
    }
}

fn shown(rules: &[&FilterRule]) -> Vec<String> {
    evidence::first(SHOWN, rules.iter().copied().map(words))
}

/// Near to what nft prints.
fn words(rule: &FilterRule) -> String {
    let FilterRule { table, chain, handle, subjects, is_narrow, ruling, .. } = rule;
    let subject = |subject: &Subject| match subject {
        Subject::Input(name) => format!("iifname {name}"),
        Subject::InputIndex(index) => format!("iif {index}"),
        Subject::Output(name) => format!("oifname {name}"),
        Subject::OutputIndex(index) => format!("oif {index}"),
        Subject::Source(address) => format!("saddr {address}"),
        Subject::Destination(address) => format!("daddr {address}"),
    };
    let mut words = vec![format!("table {table}, chain {chain}, handle {handle}:")];
    words.extend(subjects.iter().map(subject));
    words.extend(is_narrow.then(|| "..".to_owned()));
    words.extend((*ruling == Ruling::Drop).then(|| "drop".to_owned()));
    words.join(" ")
}

fn delete(rule: &FilterRule) -> String {
    let FilterRule { family, table, chain, handle, .. } = rule;
    format!("nft delete rule {family} {table} {chain} handle {handle}")
}

/// Tables of iptables that are not kept in nftables, and so were not looked at.
pub(super) fn legacy() -> Option<Finding> {
    let names = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
    let read = |path: &&str| fs::read_to_string(path).unwrap_or_default();
    let mut tables: Vec<String> = Vec::new();
    for text in names.iter().map(read) {
        tables.extend(text.lines().map(str::to_owned));
    }
    not_looked_at(&tables)
}

/// Not all rules of nftables were looked at.
pub(super) fn unread(why: String) -> Finding {
    Finding {
        severity: Severity::Notice,
        what:
            "netfilter's rules could not all be read: some that name an uplink may be missing here"
                .to_owned(),
        evidence: vec![why],
        fix: Some("nft list ruleset".to_owned()),
        ..Finding::single(Kind::NetfilterUnread)
    }
}

fn not_looked_at(tables: &[String]) -> Option<Finding> {
    (!tables.is_empty()).then(|| Finding {
        severity: Severity::Notice,
        what: "iptables keeps rules outside nftables: rules there that name an uplink were not \
               looked for"
            .to_owned(),
        evidence: vec![format!("tables: {}", tables.join(", "))],
        fix: Some("iptables-legacy-save".to_owned()),
        ..Finding::single(Kind::IptablesLegacy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;

    fn rule(subjects: &[Subject], ruling: Ruling, is_narrow: bool) -> FilterRule {
        let (table, chain) = ("filter".to_owned(), "output".to_owned());
        let (subjects, is_first) = (subjects.to_vec(), true);
        FilterRule {
            family: "inet",
            table,
            chain,
            handle: 7,
            is_first,
            subjects,
            is_narrow,
            ruling,
        }
    }

    fn found(rule: FilterRule) -> Vec<Finding> {
        let host = two_networks();
        findings(&[rule], &host.uplinks(), &host.0)
    }

    fn output(name: &str) -> Subject {
        Subject::Output(name.to_owned())
    }

    #[test]
    fn a_rule_that_drops_all_of_an_uplink_is_a_warning_with_its_command() {
        let found = found(rule(&[output("eth1")], Ruling::Drop, false));
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((finding.id.as_str(), finding.severity), ("nft-drop:eth1", Severity::Warning));
        let remedy = finding.remedy.as_deref().unwrap();
        assert!(remedy.ends_with(": nft delete rule inet filter output handle 7"), "{remedy}");
    }

    #[test]
    fn the_end_of_a_list_and_what_is_asked_elsewhere_drop_nothing_that_is_wanted() {
        let input = Subject::Input("eth1".to_owned());
        let chain = |name: &str, subjects: &[Subject]| FilterRule {
            chain: name.to_owned(),
            ..rule(subjects, Ruling::Drop, false)
        };
        let behind_others =
            FilterRule { is_first: false, ..chain("input", std::slice::from_ref(&input)) };
        assert_eq!(found(behind_others), []);
        assert_eq!(found(chain("FORWARD", std::slice::from_ref(&input))), []);
        let spoofed = Subject::Source([192, 168, 2, 10].into());
        assert_eq!(found(chain("input", &[input.clone(), spoofed])), []);
        assert_eq!(found(chain("INPUT", &[input])).len(), 1);
    }

    #[test]
    fn one_for_some_packets_of_an_uplink_is_a_notice() {
        for rule in [
            rule(&[output("eth1")], Ruling::Drop, true),
            rule(&[output("eth1")], Ruling::Other, false),
            rule(&[output("eth1"), Subject::Input("docker0".to_owned())], Ruling::Other, true),
        ] {
            let found = found(rule);
            let [finding] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((finding.id.as_str(), finding.severity), ("nft-oif:eth1", Severity::Notice));
        }
    }

    #[test]
    fn one_that_names_no_uplink_or_translates_is_none() {
        assert_eq!(found(rule(&[output("docker0")], Ruling::Drop, false)), []);
        assert_eq!(found(rule(&[output("eth1")], Ruling::Translate, false)), []);
        assert_eq!(found(rule(&[output("eth1")], Ruling::None, false)), []);
        let elsewhere = Subject::Source([192, 0, 2, 77].into());
        assert_eq!(found(rule(&[elsewhere], Ruling::Drop, false)), []);
    }

    #[test]
    fn a_beginning_of_names_means_every_uplink_of_such_a_name() {
        assert_eq!(found(rule(&[output("eth*")], Ruling::Drop, false)).len(), 2);
    }

    #[test]
    fn tables_outside_nftables_are_named() {
        assert_eq!(not_looked_at(&[]), None);
        assert!(not_looked_at(&["filter".to_owned()]).is_some());
    }
}
