//! The page: its parts, in the order in which they are read.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::series::{self, Series};
use super::{
    JSON, comparison, differences, machine, measurement, memory, reading, targets, verdict,
};
use crate::results::{Measurement, Results};

const STYLE: &str = include_str!("style.css");

pub(crate) fn page(results: &Results) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "What prroute costs" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(results))
                main {
                    (targets::section(results))
                    (measurements(&results.measurements))
                    (memory::section(&results.memory))
                    (machine::section(results))
                    (reading::section())
                }
            }
        }
    }
}

fn header(results: &Results) -> Markup {
    let machine = &results.machine;
    html! {
        header {
            p.run {
                "prroute " (machine::version(machine)) ", Linux " (machine.kernel) ", "
                span.together { (results.finished) }
                @if results.quick { " " span.badge.open { "quick run" } }
            }
            h1 { "What prroute costs" }
            p.verdict { (verdict::paragraph(results)) }
            nav aria-label="Parts of this page" {
                a href="#targets" { "Targets" }
                a href="#measurements" { "Measurements" }
                a href="#memory" { "Memory" }
                a href="#machine" { "Machine" }
                a href="#reading" { "How to read this" }
                a href=(JSON) { "All samples (JSON)" }
            }
        }
    }
}

fn measurements(measurements: &[Measurement]) -> Markup {
    let series = series::all(measurements);
    html! {
        section id="measurements" {
            h2 { "Measurements" }
            @if measurements.is_empty() {
                p { "Not part of this run." }
            } @else {
                p.about { "Each line is an alternative; further left is faster." }
                (differences::legend())
                div.charts {
                    @for measurement in measurements {
                        @for series in starting_with(&series, measurement) {
                            (comparison::section(series))
                        }
                        (measurement::section(measurement))
                    }
                }
            }
        }
    }
}

/// The series that is shown before this measurement.
fn starting_with<'a>(
    series: &'a [Series<'a>],
    measurement: &'a Measurement,
) -> impl Iterator<Item = &'a Series<'a>> {
    series.iter().filter(|series| series.first().name == measurement.name)
}
