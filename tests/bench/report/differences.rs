//! The chart of one measurement: what each alternative adds over the baseline.

use maud::{Markup, html};

use super::axis::Axis;
use super::contestant::Kind;
use super::number::{Scale, per};
use crate::results::{Added, Contestant, Measurement};

/// Height of an alternative's name and track, in pixels.
const ROW: usize = 48;
/// From the top of a row to the middle of its track.
const TRACK: usize = 33;
/// Height of the axis below the rows.
const AXIS: usize = 24;

/// `None` where nothing but the baseline was timed.
pub(crate) fn chart(measurement: &Measurement) -> Option<Markup> {
    let rows = rows(measurement);
    if rows.is_empty() {
        return None;
    }
    let scale = scale(measurement);
    let figures = rows.iter().flat_map(|(_, added)| covered(added)).map(|f| scale.convert(f));
    let axis = Axis::over(figures);
    let bottom = ROW * rows.len();
    let id = format!("chart-{}", measurement.name);
    Some(html! {
        svg.differences role="img" width="100%" height=(bottom + AXIS)
            aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (measurement.title) }
            desc id={ (id) "-desc" } { (description(measurement, &rows, &scale)) }
            (labels(&axis, bottom, &scale.symbol))
            @for (at, (contestant, added)) in rows.iter().enumerate() {
                (row(&axis, &scale, ROW * at, contestant, added))
            }
        }
    })
}

/// The unit that suits what is added.
pub(crate) fn scale(measurement: &Measurement) -> Scale {
    let rows = rows(measurement);
    let largest = rows.iter().map(|(_, added)| added.spread.median.abs()).fold(0.0, f64::max);
    Scale::of(&measurement.unit, largest)
}

/// `+31 ns`, and that it may be nothing if that is so.
pub(crate) fn phrase(scale: &Scale, added: &Added) -> String {
    let figure = scale.added(added.spread.median, added.confidence);
    let doubt = if added.resolved { "" } else { ", not resolved" };
    format!("{figure} {}{doubt}", scale.symbol)
}

fn rows(measurement: &Measurement) -> Vec<(&Contestant, &Added)> {
    let contestants = measurement.contestants.iter();
    contestants.filter_map(|contestant| Some((contestant, contestant.added.as_ref()?))).collect()
}

fn covered(added: &Added) -> [f64; 4] {
    let [low, high] = added.confidence;
    [low, high, added.spread.lower_quartile, added.spread.upper_quartile]
}

fn description(measurement: &Measurement, rows: &[(&Contestant, &Added)], scale: &Scale) -> String {
    let all: Vec<String> = rows
        .iter()
        .map(|(contestant, added)| format!("{}: {}", contestant.name, phrase(scale, added)))
        .collect();
    format!("Added over {}, {}. {}.", measurement.baseline, per(&measurement.unit), all.join("; "))
}

/// The figures below the rows.
fn labels(axis: &Axis, bottom: usize, symbol: &str) -> Markup {
    html! {
        g.grid {
            @for tick in axis.ticks(4) {
                text x=(tick.place) y=(bottom + AXIS - 4) text-anchor=(tick.place.anchor()) {
                    (tick.label) @if tick.last { " " (symbol) }
                }
            }
        }
    }
}

fn row(axis: &Axis, scale: &Scale, top: usize, contestant: &Contestant, added: &Added) -> Markup {
    let middle = top + TRACK;
    let span = |figures: [f64; 2]| axis.span(figures.map(|figure| scale.convert(figure)));
    html! {
        g.(Kind::of(&contestant.name).class()) {
            title { (contestant.name) ": " (phrase(scale, added)) }
            text.name x="0" y=(top + 17) { (contestant.name) }
            text.value x="100%" y=(top + 17) text-anchor="end" { (phrase(scale, added)) }
            (track(axis, middle))
            @if let Some((x, width)) = span([added.spread.lower_quartile, added.spread.upper_quartile]) {
                rect.quartiles x=(x) width=(width) y=(middle - 6) height="12" {}
            }
            @if let Some((x, width)) = span(added.confidence) {
                rect.confidence x=(x) width=(width) y=(middle - 2) height="4" {}
            }
            @if let Some(x) = axis.place(scale.convert(added.spread.median)) {
                circle.median.unresolved[!added.resolved] cx=(x) cy=(middle) r="5" {}
            }
        }
    }
}

/// What the marks of a row stand on, with lines where the axis has figures.
fn track(axis: &Axis, middle: usize) -> Markup {
    html! {
        rect.track x="0" y=(middle - 9) width="100%" height="18" {}
        g.grid {
            @for tick in axis.ticks(4) {
                line.zero[tick.zero] x1=(tick.place) x2=(tick.place)
                    y1=(middle - 9) y2=(middle + 9) {}
            }
        }
    }
}

/// What the marks of these charts mean.
pub(crate) fn legend() -> Markup {
    html! {
        ul.legend {
            li { (mark(&html! { rect.quartiles x="2" y="4" width="32" height="12" {} }))
                "half of all rounds (between the quartiles)" }
            li { (mark(&html! { rect.confidence x="2" y="8" width="32" height="4" {} }))
                "where the median lies, with 95 % confidence" }
            li { (mark(&html! { circle.median cx="18" cy="10" r="5" {} })) "median" }
            li { (mark(&html! { circle.median.unresolved cx="18" cy="10" r="5" {} }))
                "median, not resolved from zero" }
        }
    }
}

fn mark(shape: &Markup) -> Markup {
    html! { svg.mark.prroute width="36" height="20" aria-hidden="true" { (shape) } }
}
