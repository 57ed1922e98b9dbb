//! What is to be said of programs and pins.

use std::collections::BTreeMap;

use crate::datapath::attach::Hook;
use crate::datapath::chain::Standing;
use crate::examine::programs::{Place, Seen};
use crate::examine::{Examination, evidence};
use crate::json::UdpSourceStateJson;
use crate::netlink::Direction;
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::uplink::Uplink;

/// So many pins are named.
const SHOWN: usize = 3;

/// What prroute made, and is not there.
pub(super) fn missing(examined: &Examination, seen: &Seen) -> Vec<Finding> {
    let fix = examined.mend();
    let mut all = Vec::new();
    all.extend(pins(seen, fix.as_ref()));
    let devices = seen.places.chunk_by(|a, b| a.device == b.device);
    all.extend(devices.filter_map(|places| detached(places, done(examined), fix.as_ref())));
    all.extend(never_attached(examined, seen));
    if examined.attaches_by_clsact() {
        all.iter_mut().for_each(|finding| name_other_qdisc(finding, &seen.other_qdiscs));
    }
    let attached = matches!(examined.report.udp_source, Some(UdpSourceStateJson::Attached { .. }));
    if attached && !seen.sockets {
        all.push(Finding {
            severity: Severity::Fault,
            what: "the programs for wildcard UDP servers are not attached: such servers answer \
                   from the address that routing prefers"
                .to_owned(),
            fix,
            ..Finding::single(Kind::CgroupPrograms)
        });
    }
    all
}

/// What is done with replies that belong on another uplink.
fn done(examined: &Examination) -> &'static str {
    if examined.observes() { "counted" } else { "moved" }
}

/// Uplinks that came, and that nothing could be attached to.
fn never_attached(examined: &Examination, seen: &Seen) -> Vec<Finding> {
    let uplinks = &examined.outlook.uplinks;
    let is_without = |uplink: &&Uplink| {
        let name = &uplink.device.name;
        uplinks.len() > 1 && !seen.places.iter().any(|place| place.device == *name)
    };
    let names = uplinks.iter().filter(is_without).map(|uplink| &uplink.device.name);
    names
        .map(|name| Finding {
            severity: Severity::Fault,
            what: format!(
                "{name}: the programs are not attached, its replies are not {}",
                done(examined)
            ),
            device: Some(name.clone()),
            fix: examined.mend(),
            ..Finding::about(Kind::ProgramMissing, name)
        })
        .collect()
}

/// Where a qdisc of another kind has the place of ours, no daemon attaches anything.
fn name_other_qdisc(finding: &mut Finding, other_qdiscs: &BTreeMap<String, String>) {
    let Some(name) = &finding.device else { return };
    let Some(kind) = other_qdiscs.get(name) else { return };
    let device = word(name);
    finding.evidence.push(format!("the {kind} qdisc has the place of the clsact qdisc"));
    finding.remedy = Some(format!(
        "move its filters to a clsact qdisc, which has all that it has: tc qdisc del dev {device} {kind}; \
         tc qdisc add dev {device} clsact"
    ));
    finding.fix = None;
}

/// What else is there.
pub(super) fn others(examined: &Examination, seen: &Seen) -> Vec<Finding> {
    let mut all = Vec::new();
    let restart = examined.restart();
    all.extend(layout(seen, examined.mend().as_ref(), restart.as_ref()));
    all.extend(seen.places.iter().filter_map(|place| order(place, restart.as_ref())));
    if !examined.observes() {
        all.extend(seen.places.iter().filter_map(foreign));
    }
    all
}

fn pins(seen: &Seen, fix: Option<&String>) -> Option<Finding> {
    if seen.lost_pins.is_empty() {
        return None;
    }
    let directory = seen.other_in_force.as_ref().unwrap_or(&seen.layout).display();
    let evidence = evidence::first(SHOWN, seen.lost_pins.iter().cloned());
    let what = match seen.without_maps {
        true => format!("{directory}: pinned maps are missing: the next daemon forgets all flows"),
        false => format!("{directory}: pinned links are missing: the programs end with the daemon"),
    };
    Some(Finding {
        severity: Severity::Fault,
        what,
        evidence,
        fix: fix.cloned(),
        ..Finding::single(Kind::PinsMissing)
    })
}

fn layout(seen: &Seen, start: Option<&String>, restart: Option<&String>) -> Option<Finding> {
    let (other, what, fix) = match (&seen.other_in_force, seen.other_layouts.first()) {
        (Some(other), _) => {
            let what = "the programs of another version of prroute are in force: this version does not read \
                        their flows and counters, and takes them over when its daemon starts";
            (other, what, start.or(restart))
        }
        (None, Some(other)) => {
            let what = "pins of another version of prroute: its programs may still be attached";
            (other, what, start)
        }
        (None, None) => return None,
    };
    Some(Finding {
        severity: Severity::Warning,
        what: format!("{}: {what}", other.display()),
        evidence: vec![format!("this version: {}", seen.layout.display())],
        fix: fix.cloned(),
        ..Finding::single(Kind::Layout)
    })
}

/// What of ours is not on a device, or is another program.
fn detached(places: &[Place], done: &str, fix: Option<&String>) -> Option<Finding> {
    let gone: Vec<_> = places.iter().filter(|place| !place.standing.is_in_force()).collect();
    let [first, ..] = gone.as_slice() else { return None };
    let name = &first.device;
    let what = match first.direction {
        _ if gone.len() > 1 => {
            format!("{name}: the programs are not attached: its replies are not {done}")
        }
        Direction::Ingress => format!(
            "{name}: the ingress program is not attached: it is not noted what comes in here"
        ),
        Direction::Egress => format!(
            "{name}: the egress program is not attached: replies that main sends here are not {done}"
        ),
    };
    let evidence = |place: &&Place| {
        let Place { hook, direction, standing, .. } = place;
        let direction = direction.name();
        match standing {
            Standing::Replaced { program } => {
                format!("{direction}: {hook} runs program {program}, which is not prroute's")
            }
            _ => format!("{direction}: nothing of prroute's by {hook}"),
        }
    };
    Some(Finding {
        severity: Severity::Fault,
        what,
        device: Some(name.clone()),
        evidence: gone.iter().map(evidence).collect(),
        fix: fix.cloned(),
        ..Finding::about(Kind::ProgramMissing, name)
    })
}

/// Ours comes first, or others decide what it sees.
fn order(place: &Place, restart: Option<&String>) -> Option<Finding> {
    let Place { device, hook, direction, before, .. } = place;
    let (name, direction) = (device, direction.name());
    let first = before.first()?;
    Some(Finding {
        severity: Severity::Warning,
        what: format!(
            "{name}: {first} of others runs before prroute's {direction} program, which does not \
             see what that one takes"
        ),
        remedy: Some(match hook {
            Hook::Tcx => {
                "restart prroute's daemon: one that starts puts its programs first".to_owned()
            }
            // The lower number comes first.
            Hook::Clsact => "give it a priority of 2 or more".to_owned(),
        }),
        device: Some(name.clone()),
        evidence: before.clone(),
        fix: restart.filter(|_| *hook == Hook::Tcx).cloned(),
        ..Finding::about(Kind::ProgramOrder, format_args!("{name}:{direction}"))
    })
}

/// What others have behind prroute's program. Nothing is wrong with it.
fn foreign(place: &Place) -> Option<Finding> {
    let Place { device: name, direction, behind, .. } = place;
    let direction = direction.name();
    let others = match behind.len() {
        0 => return None,
        1 => "a program or filter".to_owned(),
        many => format!("{many} programs or filters"),
    };
    Some(Finding {
        severity: Severity::Notice,
        what: format!(
            "{name}: {others} of others behind prroute's {direction} program: what prroute moves to \
             another uplink meets what is there instead"
        ),
        device: Some(name.clone()),
        evidence: behind.clone(),
        ..Finding::about(Kind::ProgramForeign, format_args!("{name}:{direction}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::chain::Entry;

    fn place(direction: Direction, standing: Standing) -> Place {
        let device = "eth1".to_owned();
        let (before, behind) = (Vec::new(), Vec::new());
        Place { device, hook: Hook::Tcx, direction, standing, before, behind }
    }

    const IN_FORCE: Standing = Standing::InForce { behind: Vec::new() };

    fn said(places: &[Place]) -> (String, String) {
        let finding = detached(places, "moved", None).unwrap();
        (finding.what, finding.evidence.join("; "))
    }

    #[test]
    fn what_is_missing_is_said_by_direction() {
        let gone = |direction| place(direction, Standing::Missing);
        let both = [gone(Direction::Ingress), gone(Direction::Egress)];
        assert!(said(&both).0.starts_with("eth1: the programs are not attached"));
        let one = [place(Direction::Ingress, IN_FORCE), gone(Direction::Egress)];
        assert!(said(&one).0.starts_with("eth1: the egress program is not attached"));
        let other = [place(Direction::Ingress, Standing::Replaced { program: 9 })];
        assert!(said(&other).1.contains("tcx runs program 9, which is not prroute's"));
        assert!(detached(&[place(Direction::Ingress, IN_FORCE)], "moved", None).is_none());
    }

    #[test]
    fn a_program_before_ours_is_a_warning_and_one_behind_it_a_notice() {
        let behind = vec![Entry::Tcx { program: 3, link: 0 }];
        let mut before = place(Direction::Egress, Standing::InForce { behind });
        before.before = vec!["tcx program 3".to_owned()];
        let finding = order(&before, None).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.what.starts_with("eth1: tcx program 3 of others runs before"));
        before.hook = Hook::Clsact;
        let remedy = order(&before, None).and_then(|finding| finding.remedy);
        assert_eq!(remedy.as_deref(), Some("give it a priority of 2 or more"));
        let mut after = place(Direction::Egress, IN_FORCE);
        after.behind = before.before;
        assert!(order(&after, None).is_none());
        assert_eq!(foreign(&after).map(|it| it.severity), Some(Severity::Notice));
    }

    /// Starting a daemon, which is the command otherwise, changes nothing there.
    #[test]
    fn a_qdisc_in_the_place_of_ours_is_named_with_what_to_do() {
        let gone = place(Direction::Egress, Standing::Missing);
        let mut finding = detached(&[gone], "moved", Some(&"prroute run".to_owned())).unwrap();
        let other = |device: &str| [(device.to_owned(), "ingress".to_owned())].into();
        name_other_qdisc(&mut finding, &other("eth2"));
        assert!(finding.fix.is_some() && finding.remedy.is_none(), "{finding:?}");
        name_other_qdisc(&mut finding, &other("eth1"));
        assert!(finding.fix.is_none(), "{finding:?}");
        assert!(finding.remedy.unwrap().contains("tc qdisc del dev eth1 ingress"));
    }

    #[test]
    fn pins_that_are_gone_are_counted() {
        let mut seen = Seen { without_maps: true, ..Seen::default() };
        assert!(pins(&seen, None).is_none());
        seen.lost_pins = (0..5).map(|n| format!("M{n}")).collect();
        let finding = pins(&seen, None).unwrap();
        assert_eq!(finding.evidence, ["M0", "M1", "M2", "and 2 more"]);
    }

    /// A daemon that runs is of the version before.
    #[test]
    fn programs_of_another_version_are_named_with_what_starts_this_one() {
        let other_layouts = vec!["/sys/fs/bpf/prroute/default/v7".into()];
        let mut seen = Seen { other_layouts, ..Seen::default() };
        let restart = "systemctl restart prroute".to_owned();
        let left = layout(&seen, None, Some(&restart)).unwrap();
        assert!(left.what.contains("may still be attached") && left.fix.is_none(), "{left:?}");
        seen.other_in_force = seen.other_layouts.first().cloned();
        let in_force = layout(&seen, None, Some(&restart)).unwrap();
        assert!(in_force.what.contains("v7: the programs of another version"), "{in_force:?}");
        assert_eq!((in_force.fix, in_force.severity), (Some(restart), Severity::Warning));
    }
}
