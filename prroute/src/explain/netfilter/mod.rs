//! What netfilter does with a packet. Of a reply that prroute moves it sees the interface that routing
//! chose: the egress program comes after it.

mod machine;
mod packet;
mod walk;

use std::fs;

pub(crate) use self::packet::{Packet, Port};
pub(crate) use self::walk::{Passage, Place, Translated, Walked, walk};
use super::step::{Found, Stage, Step};
use crate::netlink::nftables::ruleset::{self, Ruleset};
use crate::state::observed::Family;

/// `NF_INET_*`.
pub(crate) const PREROUTING: u32 = 0;
pub(crate) const INPUT: u32 = 1;
pub(crate) const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
pub(crate) const POSTROUTING: u32 = 4;

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
        _ if walks.iter().any(|walked| walked.is_marked) => Step::new(
            stage,
            Found::Warn,
            told("no rule drops it; one sets its mark, without which the routes were asked".into()),
        ),
        _ => Step::ok(stage, told("no rule drops it".to_owned())),
    }
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

    fn walked(passage: Passage) -> Walked {
        Walked { passage, may_be_translated: None, translated: None, is_marked: false }
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
