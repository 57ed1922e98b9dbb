//! What was promised, and what became of it.

use maud::{Markup, html};

use super::axis::Axis;
use super::measurement;
use super::number::{Scale, chosen};
use crate::results::{Results, Target, Verdict};

pub(crate) fn section(results: &Results) -> Markup {
    html! {
        section id="targets" {
            h2 { "Targets" }
            @if results.targets.is_empty() {
                p { "This run was of single measurements, and of none that a target is set for." }
            } @else {
                (table(&results.targets, results))
            }
        }
    }
}

fn table(targets: &[Target], results: &Results) -> Markup {
    html! {
        table.targets role="table" {
            caption.unseen { "Targets, what was measured, and the verdict" }
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { "What" }
                    th.number role="columnheader" scope="col" {
                        "Measured" br; small { "95 % confidence" }
                    }
                    th.number role="columnheader" scope="col" { "Limit" }
                    th.wide role="columnheader" scope="col" { "Against the limit" }
                    th role="columnheader" scope="col" { "Verdict" }
                }
            }
            tbody role="rowgroup" { @for target in targets { (row(target, results)) } }
        }
    }
}

fn row(target: &Target, results: &Results) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                (target.what) br; small { (target.promise) }
                @for name in &target.measurements {
                    @if let Some(anchor) = source(name, results) {
                        " " a.source href={ "#" (anchor) } { (name) }
                    }
                }
            }
            td.number role="cell" { (measured(target)) }
            td.number role="cell" { "≤ " (chosen(target.limit)) " " (target.unit) }
            td.wide role="cell" { @if let Some(figure) = target.measured { (gauge(target, figure)) } }
            td role="cell" { (badge(target.verdict)) }
        }
    }
}

/// Where the page has what a target is taken from.
fn source(name: &str, results: &Results) -> Option<String> {
    if name == "memory" {
        return Some(name.to_owned());
    }
    let present = results.measurements.iter().any(|measurement| measurement.name == name);
    present.then(|| measurement::anchor(name))
}

/// A figure, and where it lies.
fn measured(target: &Target) -> Markup {
    let Some(figure) = target.measured else {
        return html! { small { "none" } };
    };
    let scale = Scale::of(&target.unit, figure);
    html! {
        // What is counted, and not timed, lies where it is.
        @match target.confidence.filter(|[low, high]| low != high) {
            Some(interval) => {
                (scale.within(figure, interval)) " " (scale.symbol) br;
                small {
                    (scale.within(interval[0], interval)) " … " (scale.within(interval[1], interval))
                }
            },
            None => { (scale.rounded(figure)) " " (scale.symbol) },
        }
    }
}

/// The figure and its interval on a line, of which the shaded part is allowed.
fn gauge(target: &Target, figure: f64) -> Markup {
    let [low, high] = target.confidence.unwrap_or([figure; 2]);
    // An interval that reaches far below zero would leave no room for what matters.
    let axis = Axis::over([figure, low.max(-0.4 * target.limit), high, 1.3 * target.limit]);
    html! {
        svg.gauge.(class(target.verdict)) width="100%" height="26" aria-hidden="true" {
            @if let Some(limit) = axis.place(target.limit) {
                rect.allowed x="0" y="3" width=(limit) height="20" {}
                line.limit x1=(limit) x2=(limit) y1="1" y2="25" {}
            }
            @if let Some((x, width)) = axis.span([low, high]) {
                rect.confidence x=(x) width=(width) y="11" height="4" {}
            }
            @if let Some(x) = axis.place(figure) { circle.median cx=(x) cy="13" r="5" {} }
        }
    }
}

/// The word, with a sign before it.
pub(crate) fn badge(verdict: Verdict) -> Markup {
    let sign = match verdict {
        Verdict::Pass => "✓",
        Verdict::Miss => "✗",
        Verdict::NotResolved => "≈",
        Verdict::NotMeasured => "–",
    };
    html! { span.badge.(class(verdict)) { span aria-hidden="true" { (sign) } " " (word(verdict)) } }
}

pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Miss => "miss",
        Verdict::NotResolved => "not resolved",
        Verdict::NotMeasured => "not measured",
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Miss => "miss",
        Verdict::NotResolved => "open",
        Verdict::NotMeasured => "none",
    }
}
