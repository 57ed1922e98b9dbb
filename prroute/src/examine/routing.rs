//! Rules, routes and neighbours: what the kernel has of them, against what it should have.

use std::collections::BTreeMap;

use crate::examine::Examination;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::{NeighbourState, Route, Rule};
use crate::state::place::Place;
use crate::state::plan::Op;

/// What a finding is about whose rules are there, and not where they have to be.
const PLACE: &str = "place";

/// So many objects of a kind are named.
const SHOWN: usize = 3;

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    // Where it is not known what is asked for, nothing can be missing; and a table that changes all
    // the time was not read.
    if !examined.configuration.is_known {
        return Vec::new();
    }
    if examined.outlook.observed.unsteady {
        return vec![unsteady()];
    }
    let plan = match &examined.outlook.plan {
        Ok(plan) => plan,
        Err(collision) => {
            return vec![Finding {
                severity: Severity::Fault,
                what: collision.to_string(),
                ..Finding::single(Kind::Collision)
            }];
        }
    };
    let mut groups: BTreeMap<(Part, Option<String>), Vec<String>> = BTreeMap::new();
    for op in &plan.ops {
        let Some((part, device)) = part_of(op) else { continue };
        let part = match standing(examined, op) {
            Standing::Nowhere => part,
            Standing::ToMove => Part::Place,
            Standing::Well => continue,
        };
        let is_undecided = match &device {
            Some(device) => is_in_doubt(examined, device),
            // Rules depend on every gateway.
            None => {
                examined.outlook.uplinks.iter().any(|it| is_in_doubt(examined, &it.device.name))
            }
        };
        if part == Part::Place || !is_undecided {
            groups.entry((part, device)).or_default().push(op.to_string());
        }
    }
    groups.into_iter().map(|((part, device), ops)| finding(examined, part, device, &ops)).collect()
}

fn unsteady() -> Finding {
    Finding {
        what: "other programs change addresses, rules or routes each time they are read: which of \
               prroute's are missing is not known, and the daemon changes none"
            .to_owned(),
        remedy: Some("`ip monitor address rule route` shows the changes".to_owned()),
        ..Finding::single(Kind::Unsteady)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Rule,
    /// Of rules that are there.
    Place,
    Route,
    Neighbour,
    /// Ours, and not wanted any more.
    Leftover,
}

/// `None`: it is told of elsewhere.
fn part_of(op: &Op) -> Option<(Part, Option<String>)> {
    let device = |route: &Route| route.next_hops.first().map(|hop| hop.device.clone());
    Some(match op {
        // `filters`.
        Op::LoosenRpFilter(_) => return None,
        Op::AddRule(_) => (Part::Rule, None),
        Op::AddRoute(route) | Op::ReplaceRoute { new: route, .. } => (Part::Route, device(route)),
        Op::ManageNeighbour(key) => (Part::Neighbour, Some(key.device.clone())),
        Op::DeleteRule(_) => (Part::Leftover, None),
        Op::DeleteRoute(route) => (Part::Leftover, device(route)),
        Op::ReleaseNeighbour(key) => (Part::Leftover, Some(key.device.clone())),
        Op::RestoreRpFilter(change) => (Part::Leftover, Some(change.device.clone())),
    })
}

/// Where else there is a rule that a step adds or deletes.
enum Standing {
    Nowhere,
    /// The step moves it before what decides about every packet.
    ToMove,
    /// How often such a rule is moved only the daemon knows; or the step is told of with the rule's new place.
    Well,
}

fn standing(examined: &Examination, op: &Op) -> Standing {
    let outlook = &examined.outlook;
    let is_it = |rule: &Rule, it: &Rule| Rule { priority: rule.priority, ..it.clone() } == *rule;
    match op {
        Op::AddRule(rule) if outlook.observed.rules.iter().any(|it| is_it(rule, it)) => {
            let place = outlook.desired.places.iter().find(|place| place.family == rule.family);
            // The rule that only keeps the place sends nothing astray.
            match !rule.is_nop() && place.is_some_and(Place::is_to_move) {
                true => Standing::ToMove,
                false => Standing::Well,
            }
        }
        Op::DeleteRule(rule) if outlook.desired.rules.iter().any(|it| is_it(rule, it)) => {
            Standing::Well
        }
        _ => Standing::Nowhere,
    }
}

/// Whether one of its gateways is being asked: only the daemon knows since when, and decides.
fn is_in_doubt(examined: &Examination, device: &str) -> bool {
    let outlook = &examined.outlook;
    let Some(uplink) = outlook.uplinks.iter().find(|uplink| uplink.device.name == device) else {
        return false;
    };
    let doubtful = |state| {
        matches!(
            state,
            NeighbourState::Incomplete | NeighbourState::Probing | NeighbourState::Failed
        )
    };
    let answers = examined.answers(&uplink.device);
    // One without an entry that the daemon does not call silent is to be asked, and is missing.
    let is_silent = |gateway| answers.iter().any(|it| it.gateway == gateway && it.silent);
    uplink.device.gateways.iter().any(|gateway| {
        let entry = outlook.observed.neighbour(uplink.device.ifindex, *gateway);
        let is_doubtful = entry.map_or_else(|| is_silent(*gateway), |entry| doubtful(entry.state));
        examined.daemon.is_some() && is_doubtful
    })
}

fn finding(examined: &Examination, part: Part, device: Option<String>, ops: &[String]) -> Finding {
    let of = device.as_ref().map_or(String::new(), |device| format!("{device}: "));
    let count = ops.len();
    let several =
        |one: &str| if count == 1 { format!("1 {one} is") } else { format!("{count} {one}s are") };
    let (kind, severity, what) = match part {
        Part::Rule => (
            Kind::RuleMissing,
            Severity::Fault,
            format!(
                "{of}{} missing: packets with an uplink's address follow main",
                several("rule")
            ),
        ),
        Part::Place => (Kind::RuleMissing, Severity::Fault, misplaced(examined)),
        Part::Route => (
            Kind::RouteMissing,
            Severity::Fault,
            format!("{of}{} missing in prroute's tables", several("route")),
        ),
        Part::Neighbour => (
            Kind::NeighbourMissing,
            Severity::Fault,
            format!("{of}nobody keeps the gateway's link-layer address"),
        ),
        Part::Leftover => (
            Kind::Leftover,
            Severity::Notice,
            format!("{of}{} left that nothing needs", several("object")),
        ),
    };
    let mut evidence: Vec<String> = ops.iter().take(SHOWN).cloned().collect();
    if count > SHOWN {
        evidence.push(format!("and {} more: prroute plan", count - SHOWN));
    }
    let object = if part == Part::Place { PLACE } else { "host" };
    let base = Finding::about(kind, device.as_deref().unwrap_or(object));
    let remedy = (part == Part::Place && examined.daemon.is_some()).then(|| {
        "the daemon moves them, but after ten moves not before ten minutes without one have passed"
            .to_owned()
    });
    Finding { severity, what, device, evidence, remedy, fix: examined.mend(), ..base }
}

/// Whether one of the findings is that rules are not where they have to be.
pub(super) fn are_misplaced(findings: &[Finding]) -> bool {
    let id = Finding::about(Kind::RuleMissing, PLACE).id;
    findings.iter().any(|finding| finding.id == id)
}

/// What comes of it that rules are where they are.
fn misplaced(examined: &Examination) -> String {
    let places = examined.outlook.desired.places.iter().filter(|place| place.is_to_move());
    match places.flat_map(|place| &place.now.behind).next() {
        Some(rule) => format!(
            "prroute's rules stand behind rule {rule}, which matches all packets: replies follow \
             that one"
        ),
        None => "prroute's rules stand before the one for the local table: packets for the host's \
                 own addresses may leave it"
            .to_owned(),
    }
}
