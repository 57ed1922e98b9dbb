//! One measurement: its chart, and all its figures.

use maud::{Markup, html};

use super::contestant::Kind;
use super::differences;
use super::number::{Scale, grouped};
use crate::results::{Contestant, Measurement};

/// Where the page has it.
pub(crate) fn anchor(name: &str) -> String {
    format!("m-{name}")
}

pub(crate) fn section(measurement: &Measurement) -> Markup {
    html! {
        section.measurement id=(anchor(&measurement.name)) {
            h3 { (measurement.title) }
            p.about {
                "Added over " b { (measurement.baseline) } ", " (measurement.unit) "; "
                (grouped(rounds(measurement) as f64, 0)) " rounds, samples of "
                (grouped(f64::from(measurement.batch), 0)) "."
            }
            @match differences::chart(measurement) {
                Some(chart) => (chart),
                None => p { "Nothing was timed beside the baseline." },
            }
            (table(measurement))
        }
    }
}

fn rounds(measurement: &Measurement) -> usize {
    measurement.contestants.iter().map(|contestant| contestant.samples.len()).max().unwrap_or(0)
}

/// The times themselves, and the differences with where they lie.
fn table(measurement: &Measurement) -> Markup {
    let largest =
        measurement.contestants.iter().map(|contestant| contestant.time.median).fold(0.0, f64::max);
    let time = Scale::of(&measurement.unit, largest);
    let added = differences::scale(measurement);
    html! {
        table.figures {
            caption.unseen { "Medians of " (measurement.title) }
            thead {
                tr {
                    th scope="col" { "Alternative" }
                    th.number scope="col" { "Median, " (time.symbol) br; small { "quartiles" } }
                    th.number scope="col" { "Added, " (added.symbol) br; small { "95 % confidence" } }
                }
            }
            tbody {
                @for contestant in &measurement.contestants {
                    (row(contestant, &time, &added))
                }
            }
        }
    }
}

fn row(contestant: &Contestant, time: &Scale, scale: &Scale) -> Markup {
    html! {
        tr {
            th.(Kind::of(&contestant.name).class()) scope="row" { (contestant.name) }
            td.number {
                (time.rounded(contestant.time.median)) br;
                small {
                    (time.rounded(contestant.time.lower_quartile)) " … "
                    (time.rounded(contestant.time.upper_quartile))
                }
            }
            td.number {
                @match &contestant.added {
                    Some(added) => {
                        @let [low, high] = added.confidence;
                        (scale.added(added.spread.median, added.confidence)) br;
                        small {
                            (scale.added(low, added.confidence)) " … "
                            (scale.added(high, added.confidence))
                        }
                        @if !added.resolved { br; small.doubt { "not resolved" } }
                    },
                    None => small { "baseline" },
                }
            }
        }
    }
}
