//! The results in a few sentences.

use super::contestant::marks_connections;
use super::differences;
use super::number::{Scale, per};
use crate::results::{Added, Contestant, Measurement, Results, Target, Verdict};

/// More stolen time than this, in per cent, is worth a word.
const STEAL: f64 = 1.0;

/// One paragraph.
pub(crate) fn paragraph(results: &Results) -> String {
    let mut sentences = targets(&results.targets);
    sentences.extend(example(&results.measurements));
    if results.quick {
        sentences.push(
            "This was a quick run: it shows that the bench works, and its figures are not to be \
             quoted."
                .to_owned(),
        );
    }
    if results.machine.steal_percent > STEAL {
        let steal = Scale::of("%", 0.0).rounded(results.machine.steal_percent);
        sentences.push(format!(
            "The hypervisor gave {steal} % of the run to others, which widens every interval."
        ));
    }
    sentences.join(" ")
}

fn targets(targets: &[Target]) -> Vec<String> {
    let with = |verdict| targets.iter().filter(move |target| target.verdict == verdict);
    let all = targets.len() - with(Verdict::NotMeasured).count();
    if all == 0 {
        return vec!["This run measured nothing that a target is set for.".to_owned()];
    }
    let met = with(Verdict::Pass).count();
    let mut sentences = vec![match (met, all) {
        (1, 1) => "The one target of this run is met.".to_owned(),
        (met, all) if met == all => format!("All {all} targets are met."),
        (0, all) => format!("Of {all} targets none is shown to be met."),
        (1, all) => format!("1 of {all} targets is met."),
        (met, all) => format!("{met} of {all} targets are met."),
    }];
    for (verdict, start) in [
        (Verdict::Miss, "Missed"),
        (Verdict::NotResolved, "Not resolved from the limit"),
        (Verdict::NotMeasured, "Not measured"),
    ] {
        let names: Vec<String> = with(verdict).map(name).collect();
        if !names.is_empty() {
            sentences.push(format!("{start}: {}.", names.join("; ")));
        }
    }
    sentences
}

fn name(target: &Target) -> String {
    match target.measured {
        Some(figure) if target.verdict == Verdict::Miss => {
            let scale = Scale::of(&target.unit, figure);
            let interval = target.confidence.unwrap_or([f64::NAN; 2]);
            format!("{} ({} {})", target.what, scale.within(figure, interval), scale.symbol)
        }
        _ => target.what.clone(),
    }
}

/// What prroute and the cheapest of those that mark connections add, where first both are known.
fn example(measurements: &[Measurement]) -> Option<String> {
    measurements.iter().find_map(|measurement| {
        let contestants = &measurement.contestants;
        let ours = contestants.iter().find(|contestant| contestant.name == "prroute")?;
        let (marks, theirs) = contestants
            .iter()
            .filter(|contestant| marks_connections(contestant))
            .filter_map(|contestant| Some((contestant, resolved(contestant)?)))
            .min_by(|(_, one), (_, other)| one.spread.median.total_cmp(&other.spread.median))?;
        let ours = ours.added.as_ref()?;
        let scale = differences::scale(measurement);
        let adds = if ours.resolved {
            format!("prroute adds {}", amount(&scale, ours))
        } else {
            "what prroute adds is too little for this run to resolve".to_owned()
        };
        Some(format!(
            "{}: {adds}, {} adds {} {}, over {}.",
            measurement.title,
            marks.name,
            amount(&scale, theirs),
            per(&measurement.unit),
            measurement.baseline
        ))
    })
}

fn resolved(contestant: &Contestant) -> Option<&Added> {
    contestant.added.as_ref().filter(|added| added.resolved)
}

fn amount(scale: &Scale, added: &Added) -> String {
    format!("{} {}", scale.within(added.spread.median, added.confidence), scale.symbol)
}
