//! The rule that sends the reply to the table where the kernel found its route.

use std::net::IpAddr;

use super::step::{Found, Stage, Step};
use crate::netlink::RouteAnswer;
use crate::state::observed::{Family, PROTOCOL, Rule};

/// A packet, as rules look at it. Unless it is said otherwise it has no mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// `lo`: it is the host's own.
    pub(crate) iif: &'a str,
    /// The device that its socket is bound to.
    pub(crate) oif: Option<&'a str>,
}

impl Selected<'_> {
    /// By all that a rule looks at but the mark, and what is not known here.
    fn fits(&self, rule: &Rule) -> bool {
        rule.source.is_none_or(|net| net.contains(&self.source))
            && rule.destination.is_none_or(|net| net.contains(&self.destination))
            && rule.iif.as_ref().is_none_or(|iif| iif == self.iif)
            && rule.oif.as_ref().is_none_or(|oif| Some(oif.as_str()) == self.oif)
    }

    /// `None`: it has selectors that are not known here.
    fn is_selected_by(&self, rule: &Rule) -> Option<bool> {
        let is_it = self.fits(rule) && rule.mark.is_none_or(|mark| mark.value == 0);
        match rule.other {
            true if is_it != rule.invert => None,
            _ => Some(is_it != rule.invert),
        }
    }
}

/// The first rule that leads to the table of the answer.
pub(crate) fn leading_to<'a>(
    rules: &'a [Rule],
    packet: &Selected<'_>,
    answer: &RouteAnswer,
) -> Option<&'a Rule> {
    let family = Family::of(&packet.destination);
    let mut of_family: Vec<&Rule> = rules.iter().filter(|rule| rule.family == family).collect();
    of_family.sort_by_key(|rule| rule.priority);
    let mut from = 0;
    let mut perhaps = None;
    for rule in of_family {
        if rule.priority < from {
            continue;
        }
        let selected = packet.is_selected_by(rule);
        match (selected, rule.goto) {
            (Some(true), Some(priority)) => from = priority,
            (Some(false), _) | (_, Some(_)) => {}
            (found, None) => {
                let length = u32::from(answer.destination.prefix_len());
                let is_suppressed = rule.suppress_prefix_length.is_some_and(|most| length <= most);
                if rule.table != answer.table || is_suppressed {
                    continue;
                }
                if found == Some(true) {
                    return Some(rule);
                }
                perhaps = perhaps.or(Some(rule));
            }
        }
    }
    perhaps
}

/// The first rule by which the packet may take another route with a mark than without. `leading` leads to the
/// route that it takes without; `None`: it takes none, or by which rule is not known.
pub(crate) fn by_mark<'a>(
    rules: &'a [Rule],
    packet: &Selected<'_>,
    leading: Option<&Rule>,
) -> Option<&'a Rule> {
    let family = Family::of(&packet.destination);
    let last = leading.filter(|rule| !rule.other).map_or(u32::MAX, |rule| rule.priority);
    let depends = |rule: &&Rule| {
        rule.family == family && rule.priority <= last && rule.mark.is_some() && packet.fits(rule)
    };
    rules.iter().filter(depends).min_by_key(|rule| rule.priority)
}

/// As `ip rule` prints it.
pub(crate) fn words(rule: &Rule) -> String {
    let text = rule.to_string();
    let text = text.strip_prefix("priority ").unwrap_or(&text);
    text.rsplit_once(" protocol ").map_or(text, |(rule, _)| rule).to_owned()
}

pub(crate) fn judge(rule: Option<&Rule>, answer: &RouteAnswer) -> Step {
    match rule {
        Some(rule) => {
            let by = if rule.protocol == PROTOCOL { " (prroute's)" } else { "" };
            Step::ok(Stage::Rule, format!("{}{by}", words(rule)))
                .object("priority", rule.priority)
                .object("table", rule.table)
        }
        None => {
            let detail = format!("none is known that leads to table {}", answer.table);
            Step::new(Stage::Rule, Found::Warn, detail).object("table", answer.table)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{Host, ip, net};
    use crate::state::observed::{Mark, RouteKind};

    fn answer(table: u32, destination: &str) -> RouteAnswer {
        RouteAnswer {
            kind: RouteKind::Unicast,
            device: None,
            gateway: None,
            source: None,
            table,
            destination: net(destination),
            metric: 0,
            mtu: None,
        }
    }

    fn priority(host: &Host, answer: &RouteAnswer) -> Option<u32> {
        let packet = Selected {
            source: ip("10.0.2.10"),
            destination: ip("203.0.113.11"),
            iif: "lo",
            oif: None,
        };
        leading_to(&host.0.rules, &packet, answer).map(|rule| rule.priority)
    }

    #[test]
    fn the_first_rule_that_leads_to_the_table_is_named() {
        let host =
            Host::new().rule(21_030, "10.0.2.0/24", 21_002).rule(21_020, "10.0.1.0/24", 21_001);
        assert_eq!(priority(&host, &answer(21_002, "0.0.0.0/0")), Some(21_030));
        assert_eq!(priority(&host, &answer(254, "0.0.0.0/0")), Some(32_766));
        assert_eq!(priority(&host, &answer(21_001, "0.0.0.0/0")), None);
    }

    #[test]
    fn suppressed_prefixes_marks_and_gotos_are_passed_over() {
        let mut host = Host::new().rule(100, "10.0.2.0/24", 254).rule(110, "10.0.2.0/24", 254);
        let at = host.0.rules.len();
        host.0.rules[at - 2].suppress_prefix_length = Some(1);
        host.0.rules[at - 1].mark = Some(Mark { value: 7, mask: u32::MAX });
        assert_eq!(priority(&host, &answer(254, "203.0.113.0/24")), Some(100));
        assert_eq!(priority(&host, &answer(254, "0.0.0.0/0")), Some(32_766));
        let mut host = Host::new().rule(90, "10.0.2.0/24", 0).rule(100, "10.0.2.0/24", 254);
        let at = host.0.rules.len();
        host.0.rules[at - 2].goto = Some(200);
        assert_eq!(priority(&host, &answer(254, "203.0.113.0/24")), Some(32_766));
    }

    #[test]
    fn a_mark_counts_where_a_rule_looks_at_it_that_comes_no_later_than_the_one_that_leads() {
        let mut host = Host::new().rule(100, "10.0.2.0/24", 7).rule(200, "10.0.2.0/24", 8);
        let at = host.0.rules.len();
        host.0.rules[at - 2].mark = Some(Mark { value: 7, mask: u32::MAX });
        let rules = &host.0.rules;
        let packet = |source| Selected {
            source: ip(source),
            destination: ip("203.0.113.11"),
            iif: "lo",
            oif: None,
        };
        let found = |source, leading: Option<u32>| {
            let leading = leading.and_then(|it| rules.iter().find(|rule| rule.priority == it));
            by_mark(rules, &packet(source), leading).map(|rule| rule.priority)
        };
        assert_eq!(found("10.0.2.10", Some(200)), Some(100));
        assert_eq!(found("10.0.2.10", None), Some(100));
        assert_eq!(found("10.0.2.10", Some(0)), None, "the kernel's own comes first");
        assert_eq!(found("10.0.1.10", Some(200)), None, "it is about others");
    }

    #[test]
    fn a_rule_reads_as_ip_prints_it() {
        let host = Host::new().rule(21_030, "10.0.2.0/24", 254);
        let rule = host.0.rules.last().unwrap();
        assert_eq!(
            judge(Some(rule), &answer(254, "0.0.0.0/0")).detail,
            "21030 from 10.0.2.0/24 lookup main"
        );
    }
}
