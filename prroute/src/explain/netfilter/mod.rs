//! What netfilter does with a packet. Of a reply that prroute moves it sees the interface that routing
//! chose: the egress program comes after it.

mod machine;
mod packet;
mod walk;

use std::fs;

pub(crate) use self::packet::{Packet, Port, Tracking};
pub(crate) use self::walk::{Passage, Place, Translated, Walked, walk};
use super::rule;
use super::step::{Found, Stage, Step};
use crate::netlink::nftables::ruleset::{self, Ruleset};
use crate::state::observed::{Family, Rule};

/// `NF_INET_*`.
pub(crate) const PREROUTING: u32 = 0;
pub(crate) const INPUT: u32 = 1;
pub(crate) const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
pub(crate) const POSTROUTING: u32 = 4;
pub(crate) use crate::netlink::nftables::ruleset::{EGRESS, INGRESS};

/// The rules that there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) ruleset: Ruleset,
    /// Tables of iptables that are not kept in nftables, and are not read: of IPv4 and of IPv6.
    pub(crate) legacy: [Vec<String>; 2],
}

impl Rules {
    /// Of the calling thread's network namespace.
    pub(crate) fn read() -> Self {
        let tables = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        let paths = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
        Self { ruleset: ruleset::read(), legacy: paths.map(tables) }
    }

    pub(crate) fn legacy(&self, family: Family) -> &[String] {
        let [v4, v6] = &self.legacy;
        if family == Family::V4 { v4 } else { v6 }
    }

    /// What of a family could not be read.
    pub(crate) fn unread(&self, family: Family) -> Option<String> {
        let legacy = self.legacy(family);
        match (&self.ruleset.unread, legacy) {
            (Some(why), _) => Some(why.clone()),
            (None, []) => None,
            (None, tables) => {
                Some(format!("tables of iptables-legacy are not read: {}", tables.join(", ")))
            }
        }
    }
}

/// Of a packet that was taken through some hooks. `seen` says what netfilter sees of it.
pub(crate) fn judge(stage: Stage, seen: &str, walks: &[Walked], unread: Option<String>) -> Step {
    let is_dropped = |walked: &&Walked| matches!(walked.passage, Passage::Dropped(_));
    let is_uncertain = |walked: &&Walked| matches!(walked.passage, Passage::Uncertain(_));
    let told = |what: String| if seen.is_empty() { what } else { format!("{seen}: {what}") };
    let found = walks.iter().find(is_dropped).or_else(|| walks.iter().find(is_uncertain));
    match (found.map(|walked| &walked.passage), unread) {
        (Some(Passage::Dropped(place)), _) => Step::stop(stage, told(format!("{place} drops it")))
            .cause(cause(stage, place))
            .remedy(remedy(place))
            .object("rule", place),
        (Some(Passage::Uncertain(place)), _) => {
            let what = format!("{place} may drop it, by what is not known here");
            Step::new(stage, Found::Unknown, told(what)).remedy(remedy(place)).object("rule", place)
        }
        (_, Some(unread)) => Step::new(stage, Found::Unknown, told(unread)),
        _ => Step::ok(stage, told("no rule drops it".to_owned())),
    }
}

/// Of a packet whose mark a rule sets before its route is looked up, where `rule` of `ip rule` looks at marks:
/// the routes are asked without one.
pub(crate) fn marked(stage: Stage, walks: &[Walked], rule: Option<&Rule>) -> Option<Step> {
    let rule = rule?;
    let marks = |walked: &Walked| walked.marks_for_routing.is_some();
    let is_dropped = |walked: &Walked| matches!(walked.passage, Passage::Dropped(_));
    let at = walks.iter().position(marks)?;
    if walks[..=at].iter().any(is_dropped) {
        return None;
    }
    let place = walks[at].marks_for_routing.as_ref()?;
    let step = by_mark(stage, &format!("{place} sets its mark"), rule);
    Some(step.remedy(remedy(place)).object("rule", place))
}

/// Which route a packet takes is not known, as it has a mark that is not known.
pub(crate) fn by_mark(stage: Stage, why: &str, rule: &Rule) -> Step {
    let what = format!("{why}, and routing goes by marks (ip rule {})", rule::words(rule));
    Step::new(stage, Found::Unknown, what).decides_the_rest().object("priority", rule.priority)
}

fn cause(stage: Stage, place: &Place) -> String {
    match stage {
        Stage::NetfilterOut => format!("{place} drops it, before prroute sees it"),
        _ => format!("{place} drops it"),
    }
}

fn remedy(place: &Place) -> String {
    let Place { family, table, chain, .. } = place;
    format!("see it with `nft -a list chain {family} {table} {chain}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::observed::Mark;

    fn walked(passage: Passage) -> Walked {
        Walked {
            passage,
            may_be_translated: None,
            translated: None,
            is_marked: false,
            tracking: Tracking::Tracked,
            marks_for_routing: None,
        }
    }

    fn place(handle: u64) -> Place {
        let (table, chain) = ("fwx".to_owned(), "o".to_owned());
        Place { family: "inet", table, chain, handle: Some(handle) }
    }

    #[test]
    fn a_drop_counts_before_what_is_uncertain() {
        let walks = [walked(Passage::Uncertain(place(2))), walked(Passage::Dropped(place(3)))];
        let step = judge(Stage::NetfilterOut, "sees oif eth0", &walks, None);
        assert_eq!(step.found, Found::Stop);
        assert_eq!(step.detail, "sees oif eth0: nft rule inet fwx o handle 3 drops it");
        assert!(step.cause.unwrap().ends_with("before prroute sees it"));
        assert_eq!(step.remedy.as_deref(), Some("see it with `nft -a list chain inet fwx o`"));
        let step = judge(Stage::NetfilterIn, "", &walks[..1], None);
        assert_eq!(step.found, Found::Unknown);
    }

    #[test]
    fn a_mark_makes_the_route_unknown_where_a_rule_looks_at_marks() {
        let marks = |passage| Walked { marks_for_routing: Some(place(5)), ..walked(passage) };
        let rule = Rule {
            mark: Some(Mark { value: 1, mask: u32::MAX }),
            table: 100,
            ..Rule::nop(Family::V4, 99)
        };
        let found = |walks: &[Walked], rule| marked(Stage::NetfilterOut, walks, rule);
        let step = found(&[walked(Passage::Passes), marks(Passage::Passes)], Some(&rule)).unwrap();
        assert!(step.found == Found::Unknown && step.decides_the_rest);
        assert_eq!(
            step.detail,
            "nft rule inet fwx o handle 5 sets its mark, and routing goes by marks (ip rule 99 from all fwmark 0x1 lookup 100)"
        );
        assert_eq!(found(&[marks(Passage::Passes)], None), None);
        assert_eq!(found(&[walked(Passage::Passes)], Some(&rule)), None);
        assert_eq!(found(&[marks(Passage::Dropped(place(6)))], Some(&rule)), None);
    }

    #[test]
    fn what_was_not_read_is_said() {
        let mut rules = Rules::default();
        assert_eq!(rules.unread(Family::V4), None);
        rules.legacy[0].push("filter".to_owned());
        assert_eq!(rules.unread(Family::V6), None);
        let step = judge(Stage::NetfilterIn, "", &[], rules.unread(Family::V4));
        assert_eq!(step.found, Found::Unknown);
        assert_eq!(step.detail, "tables of iptables-legacy are not read: filter");
        assert_eq!(judge(Stage::NetfilterIn, "", &[], None).found, Found::Ok);
    }
}
