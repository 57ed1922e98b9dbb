//! What the programs decide: by themselves, on a packet that was built for it.

use prroute_common::reason::Reason;

use super::step::{Found, Stage, Step};
use super::uplink::Uplinks;
use crate::datapath::attach::Hook;
pub(crate) use crate::datapath::trace::NextHop;
use crate::state::findings::word;
use crate::state::uplink::Ifindex;

/// What became of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes where the kernel sends it.
    Stays,
    /// It goes to another uplink or router.
    Moves,
    Drops,
}

/// What a program decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    /// In words; `None`: the flow does not matter.
    pub(crate) about_flow: Option<&'static str>,
    /// The id of the uplink where the flow was known to be.
    pub(crate) flow_on: Option<u16>,
    /// The id of the uplink that the packet should leave by.
    pub(crate) target: Option<u16>,
    pub(crate) next_hop: NextHop,
    /// Why it is not moved, or dropped.
    pub(crate) reason: Option<Reason>,
    /// The programs only observe.
    pub(crate) is_observed: bool,
    pub(crate) counted: Vec<(u16, Reason)>,
}

impl Decision {
    /// Of a packet that is none of the programs' affair.
    pub(crate) const NONE: Self = Self {
        outcome: Outcome::Stays,
        about_flow: None,
        flow_on: None,
        target: None,
        next_hop: NextHop::AsItIs,
        reason: None,
        is_observed: false,
        counted: Vec::new(),
    };
}

/// Of one program on one interface.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// No program sees what passes there.
    NoUplink,
    /// None is loaded.
    NotLoaded,
    /// It should be there, and is not.
    NotAttached,
    Decided {
        hook: Hook,
        /// What others have on the hook that a packet meets before: in words.
        before: Vec<String>,
        decision: Decision,
    },
    /// It could not be asked.
    Unreadable(String),
}

impl Program {
    pub(crate) const fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided { decision, .. } => Some(decision),
            _ => None,
        }
    }
}

/// What is said where there is no decision.
fn without(stage: Stage, device: &str, program: &Program) -> Option<Step> {
    Some(match program {
        Program::NoUplink => {
            let detail = format!("{device} is no uplink: none");
            Step::new(stage, Found::Nothing, detail)
        }
        Program::NotLoaded => Step::new(stage, Found::Nothing, "none is loaded")
            .remedy("`prroute run` loads prroute's programs"),
        Program::NotAttached => {
            let detail = format!("not attached to {device}");
            Step::new(stage, Found::Warn, detail).remedy("`prroute doctor` says why")
        }
        Program::Unreadable(why) => Step::new(stage, Found::Unknown, why.clone()),
        Program::Decided { .. } => return None,
    })
}

fn behind(before: &[String]) -> String {
    match before {
        [] => String::new(),
        others => format!(", behind {}, not asked here", others.join(" and ")),
    }
}

/// The reason, as a half sentence.
fn reason(decision: &Decision) -> Option<String> {
    if decision.is_observed {
        return Some("the programs only observe".to_owned());
    }
    let counted = decision.counted.first().map(|(_, reason)| *reason);
    let reason = decision.reason.or(counted)?;
    let text = reason.describe().trim().trim_end_matches('.');
    let what = ["Not redirected: ", "Dropped: "];
    let rest = what.iter().find_map(|what| text.strip_prefix(what)).unwrap_or(text);
    let mut letters = rest.chars();
    let first = letters.next()?;
    // Names in capitals stay so.
    let lower = !letters.clone().next().is_some_and(char::is_uppercase);
    let first = if lower { first.to_lowercase().to_string() } else { first.to_string() };
    Some(first + letters.as_str())
}

fn with_counts(step: Step, decision: &Decision) -> Step {
    let names: Vec<&str> = decision.counted.iter().map(|(_, reason)| reason.name()).collect();
    match names.is_empty() {
        true => step,
        false => step.object("counted", names.join(" ")),
    }
}

/// Of the request.
pub(crate) fn comes_in(device: &str, program: &Program, uplinks: Uplinks<'_>) -> Step {
    const STAGE: Stage = Stage::ProgramIn;
    let Program::Decided { hook, before, decision } = program else {
        return without(STAGE, device, program)
            .unwrap_or_else(|| Step::new(STAGE, Found::Nothing, ""));
    };
    let about = decision.about_flow.unwrap_or("records nothing");
    let on = decision.flow_on.map(|id| format!(" (flow on {})", uplinks.name(id)));
    let detail = format!("{hook}, {about}{}{}", on.unwrap_or_default(), behind(before));
    let step = match decision.outcome {
        Outcome::Drops => {
            let why = reason(decision).unwrap_or_else(|| "dropped".to_owned());
            Step::stop(STAGE, format!("{hook}: {why}")).cause(format!("prroute drops it: {why}"))
        }
        _ if before.is_empty() => Step::ok(STAGE, detail),
        _ => Step::new(STAGE, Found::Warn, detail),
    };
    with_counts(step, decision)
}

/// Of the reply, which leaves by `device` as routing chose, and came in by `iif`.
pub(crate) fn leaves(
    (device, ifindex): (&str, Ifindex),
    iif: (&str, Ifindex),
    program: &Program,
    uplinks: Uplinks<'_>,
) -> Step {
    const STAGE: Stage = Stage::ProgramOut;
    let is_right = uplinks.is_same(ifindex, iif.1);
    let Program::Decided { before, decision, .. } = program else {
        let step = without(STAGE, device, program);
        return step.unwrap_or_else(|| Step::new(STAGE, Found::Nothing, ""));
    };
    let about = decision.about_flow.map(|about| format!("{about}, ")).unwrap_or_default();
    let behind = behind(before);
    let step = match (decision.outcome, decision.target) {
        (Outcome::Drops, _) => {
            let mut why = reason(decision).unwrap_or_else(|| "why is not known".to_owned());
            let is_held = decision.counted.iter().any(|(_, reason)| *reason == Reason::Held);
            if is_held && decision.reason != Some(Reason::Held) {
                why += ", and the configuration says to hold";
            }
            Step::stop(STAGE, format!("{device}: dropped: {why}"))
                .cause(format!("prroute drops it: {why}"))
                .remedy(format!("`prroute status dev {}` says how the uplink is", word(iif.0)))
        }
        (Outcome::Moves, target) => {
            let to = target.map_or_else(|| "another uplink".to_owned(), |id| uplinks.name(id));
            Step::ok(STAGE, format!("{device}: {about}moved to {to}{behind}"))
        }
        (Outcome::Stays, _) if is_right => {
            Step::ok(STAGE, format!("{device}: already right, nothing to move{behind}"))
        }
        (Outcome::Stays, _) => {
            let why = reason(decision).unwrap_or_else(|| "no flow says that it is to be".into());
            let step = Step::new(STAGE, Found::Warn, format!("{device}: not moved: {why}{behind}"));
            step.cause(format!("prroute does not move it: {why}"))
                .remedy(format!("`prroute status dev {}` says how the uplink is", word(iif.0)))
        }
    };
    with_counts(step, decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;
    use crate::state::uplink::Discovered;

    fn decision(outcome: Outcome, reason: Option<Reason>) -> Decision {
        let target = (outcome == Outcome::Moves).then_some(2);
        Decision { outcome, about_flow: Some("reply"), target, reason, ..Decision::NONE }
    }

    fn decided(decision: Decision) -> Program {
        Program::Decided { hook: Hook::Tcx, before: Vec::new(), decision }
    }

    #[test]
    fn a_reply_that_stays_where_it_should_not_has_its_reason() {
        let host = two_networks();
        let uplinks = host.uplinks();
        let (one, other) = (&uplinks[0].device, &uplinks[1].device);
        let by = |program: &Program, iif: &Discovered| {
            let device = (one.name.as_str(), one.ifindex);
            leaves(device, (&iif.name, iif.ifindex), program, Uplinks(&uplinks))
        };
        let passed = decided(decision(Outcome::Stays, Some(Reason::UplinkDown)));
        let step = by(&passed, other);
        assert_eq!(step.found, Found::Warn);
        assert!(step.detail.contains("not moved: the recorded uplink is down"), "{step:?}");
        assert_eq!(by(&passed, one).found, Found::Ok, "it is right there");
        let moved = by(&decided(decision(Outcome::Moves, None)), other);
        assert_eq!(moved.detail, format!("{}: reply, moved to {}", one.name, other.name));
        let dropped = by(&decided(decision(Outcome::Drops, Some(Reason::Held))), other);
        assert_eq!(dropped.found, Found::Stop);
        let why = "its uplink cannot be used, and the configuration says to hold";
        assert_eq!(dropped.detail, format!("{}: dropped: {why}", one.name));
        let held = decision(Outcome::Drops, Some(Reason::NoNextHop));
        let held = by(&decided(Decision { counted: vec![(2, Reason::Held)], ..held }), other);
        let why = "no usable next hop on the recorded uplink, and the configuration says to hold";
        assert_eq!(held.detail, format!("{}: dropped: {why}", one.name));
        assert_eq!(by(&Program::NotLoaded, other).found, Found::Nothing);
    }

    #[test]
    fn other_programs_on_the_hook_are_told_of() {
        let program = Program::Decided {
            hook: Hook::Tcx,
            before: vec!["program 7".to_owned()],
            decision: decision(Outcome::Stays, None),
        };
        let step = comes_in("eth1", &program, Uplinks(&[]));
        assert_eq!(step.found, Found::Warn);
        assert_eq!(step.detail, "tcx, reply, behind program 7, not asked here");
    }
}
