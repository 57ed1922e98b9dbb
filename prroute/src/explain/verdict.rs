//! What all steps come to: one line.

use std::net::IpAddr;

use super::step::{Found, Stage, Step};

/// What becomes of the request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reply leaves by the uplink that the request came in by.
    Answered,
    /// It leaves by another one.
    WrongUplink,
    /// One of them is dropped.
    Dropped,
    /// Nobody hears the request, and its sender is told so.
    Refused,
    /// It depends on what could not be read.
    Unknown,
}

/// How the reply leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaves {
    pub(crate) device: String,
    pub(crate) via: Option<IpAddr>,
    pub(crate) link_layer_address: Option<String>,
    /// A program has moved it there from this device.
    pub(crate) moved_from: Option<String>,
    /// The device is the one that the request came in by, or the same uplink.
    pub(crate) is_right: bool,
    /// A rule of prroute's has brought it there.
    pub(crate) by_rule: bool,
    /// Its flow was looked up.
    pub(crate) has_flow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kind: Kind,
    /// Number of the step, from 1 on.
    pub(crate) stops_at: Option<usize>,
    pub(crate) cause: Option<String>,
    pub(crate) remedy: Option<String>,
}

/// `iif` is the interface that the request came in by; `leaves`: the reply got as far as that.
pub(crate) fn judge(iif: &str, steps: &[Step], leaves: Option<&Leaves>) -> Verdict {
    let at =
        |is_it: &dyn Fn(&Step) -> bool| steps.iter().position(is_it).map(|at| (at + 1, &steps[at]));
    let unknown = at(&|step| step.found == Found::Unknown);
    let stop = at(&|step| step.found == Found::Stop);
    let decides_the_rest = at(&|step| step.found == Found::Unknown && step.decides_the_rest);
    // What else is unknown does not undo a drop.
    let decides = if stop.is_some() { decides_the_rest } else { unknown };
    match (decides, stop) {
        (Some((number, step)), stop) if stop.is_none_or(|(other, _)| other > number) => Verdict {
            kind: Kind::Unknown,
            stops_at: Some(number),
            cause: Some(step.detail.clone()),
            remedy: step.remedy.clone(),
        },
        (_, Some((number, step))) => Verdict {
            kind: if step.is_refusal { Kind::Refused } else { Kind::Dropped },
            stops_at: Some(number),
            cause: step.cause.clone().or_else(|| Some(step.detail.clone())),
            remedy: step.remedy.clone(),
        },
        _ => match leaves {
            Some(leaves) if leaves.is_right => {
                Verdict { kind: Kind::Answered, stops_at: None, cause: None, remedy: None }
            }
            leaves => wrong(iif, steps, leaves),
        },
    }
}

/// The program would have had to move it; without one routing decides.
fn wrong(iif: &str, steps: &[Step], leaves: Option<&Leaves>) -> Verdict {
    let of = |stage: Stage| steps.iter().position(|step| step.stage == stage);
    let program = of(Stage::ProgramOut).filter(|at| steps[*at].found != Found::Nothing);
    let at = program.or_else(|| of(Stage::Route));
    let step = at.and_then(|at| steps.get(at));
    let by = leaves.map_or("another interface", |leaves| leaves.device.as_str());
    let why = step.and_then(|step| step.cause.clone());
    let missing = of(Stage::ProgramOut).and_then(|at| steps[at].remedy.clone());
    let cause = match why {
        Some(why) => format!("the reply leaves by {by}, and not by {iif}: {why}"),
        None => format!("the reply leaves by {by}, as routing says, and not by {iif}"),
    };
    Verdict {
        kind: Kind::WrongUplink,
        stops_at: at.map(|at| at + 1),
        cause: Some(cause),
        remedy: step.and_then(|step| step.remedy.clone()).or(missing),
    }
}

impl Verdict {
    /// In one line, which may be long.
    pub(crate) fn line(&self, iif: &str, leaves: Option<&Leaves>) -> String {
        let cause = self.cause.as_deref().unwrap_or_default();
        let remedy = self.remedy.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
        let at = self.stops_at.map(|at| at.to_string()).unwrap_or_default();
        match (self.kind, leaves) {
            (Kind::Answered, Some(leaves)) => answered(iif, leaves),
            (Kind::Answered, None) => format!("ANSWERED over {iif}."),
            (Kind::Unknown, _) => format!("UNKNOWN AT {at}: {cause}{remedy}."),
            _ => format!("STOPS AT {at}: {cause}{remedy}."),
        }
    }

    /// In a few words.
    pub(crate) const fn word(&self) -> &'static str {
        match self.kind {
            Kind::Answered => "answered",
            Kind::WrongUplink => "wrong uplink",
            Kind::Dropped => "dropped",
            Kind::Refused => "refused",
            Kind::Unknown => "unknown",
        }
    }
}

fn answered(iif: &str, leaves: &Leaves) -> String {
    let Leaves { moved_from, by_rule, has_flow, .. } = leaves;
    let flow = if *has_flow { "" } else { ": no flow is looked up, none is needed" };
    match (moved_from, by_rule) {
        (Some(from), _) if from == iif => format!("ANSWERED over {iif}, to the router that asked."),
        (Some(from), _) => format!("ANSWERED over {iif}, by program: moved from {from}."),
        (None, true) => format!("ANSWERED over {iif} by rule, not by program{flow}."),
        (None, false) => format!("ANSWERED over {iif} by its route, not by rule or program{flow}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(device: &str, is_right: bool) -> Leaves {
        Leaves {
            device: device.to_owned(),
            via: None,
            link_layer_address: None,
            moved_from: None,
            is_right,
            by_rule: true,
            has_flow: false,
        }
    }

    fn steps(found: &[(Stage, Found)]) -> Vec<Step> {
        found.iter().map(|(stage, found)| Step::new(*stage, *found, "what")).collect()
    }

    #[test]
    fn a_reply_by_rule_is_answered_without_a_flow() {
        let leaves = leaves("eth1", true);
        let verdict = judge("eth1", &steps(&[(Stage::Leaves, Found::Ok)]), Some(&leaves));
        assert_eq!(verdict.kind, Kind::Answered);
        let line =
            "ANSWERED over eth1 by rule, not by program: no flow is looked up, none is needed.";
        assert_eq!(verdict.line("eth1", Some(&leaves)), line);
        let moved = Leaves { moved_from: Some("eth0".to_owned()), ..leaves };
        assert_eq!(
            verdict.line("eth1", Some(&moved)),
            "ANSWERED over eth1, by program: moved from eth0."
        );
    }

    #[test]
    fn the_first_stop_counts_with_its_cause_and_remedy() {
        let mut steps = steps(&[(Stage::Nat, Found::Nothing), (Stage::NetfilterOut, Found::Stop)]);
        steps[1].cause = Some("a rule drops it".to_owned());
        steps[1].remedy = Some("see it".to_owned());
        let verdict = judge("eth1", &steps, None);
        assert_eq!((verdict.kind, verdict.stops_at), (Kind::Dropped, Some(2)));
        assert_eq!(verdict.line("eth1", None), "STOPS AT 2: a rule drops it; see it.");
        steps[1].is_refusal = true;
        assert_eq!(judge("eth1", &steps, None).kind, Kind::Refused);
    }

    #[test]
    fn what_is_unknown_counts_unless_a_drop_is_certain() {
        let mut nat = steps(&[(Stage::Nat, Found::Unknown), (Stage::Listener, Found::Stop)]);
        nat[0].decides_the_rest = true;
        assert_eq!(judge("eth1", &nat, None).kind, Kind::Unknown, "somebody else may hear it");
        let filter = steps(&[(Stage::NetfilterIn, Found::Unknown), (Stage::Listener, Found::Stop)]);
        assert_eq!(judge("eth1", &filter, None).kind, Kind::Dropped);
        nat.reverse();
        assert_eq!(judge("eth1", &nat, None).kind, Kind::Dropped, "it does not get there");
        let uncertain = steps(&[(Stage::NetfilterOut, Found::Unknown)]);
        let verdict = judge("eth1", &uncertain, Some(&leaves("eth1", true)));
        assert_eq!((verdict.kind, verdict.stops_at), (Kind::Unknown, Some(1)));
    }

    #[test]
    fn a_reply_by_another_uplink_stops_where_it_should_have_been_moved() {
        let mut with = steps(&[(Stage::Route, Found::Ok), (Stage::ProgramOut, Found::Warn)]);
        with[1].cause = Some("prroute does not move it: why".to_owned());
        let verdict = judge("eth1", &with, Some(&leaves("eth0", false)));
        assert_eq!((verdict.kind, verdict.stops_at), (Kind::WrongUplink, Some(2)));
        let cause = "the reply leaves by eth0, and not by eth1: prroute does not move it: why";
        assert_eq!(verdict.cause.as_deref(), Some(cause));
        let without = steps(&[(Stage::Route, Found::Ok), (Stage::ProgramOut, Found::Nothing)]);
        let verdict = judge("eth1", &without, Some(&leaves("eth0", false)));
        assert_eq!(verdict.stops_at, Some(1));
    }
}
