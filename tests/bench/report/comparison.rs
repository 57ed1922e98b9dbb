//! The chart of one quantity at several numbers of flows.

use maud::{Markup, PreEscaped, html};

use super::axis::{Axis, Percent};
use super::contestant::Kind;
use super::number::Scale;
use super::series::{Series, flows};
use crate::results::Added;

/// Height of the plot, in pixels, and of the axis below it.
const PLOT: f64 = 280.0;
const AXIS: f64 = 40.0;
/// Free above the plot: the highest figure's label.
const TOP: f64 = 20.0;
/// Where the fewest and the most flows stand.
const ENDS: [f64; 2] = [0.13, 0.95];

/// Outlines of the marks, around 0,0: alternatives differ in shape, not in colour alone.
const SHAPES: [&str; 7] = [
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.5 -4.5h9v9h-9z",
    "M0 -6L6 0L0 6L-6 0z",
    "M0 -6L6 5H-6z",
    "M0 6L6 -5H-6z",
    "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M-6 -2.5h12v5h-12z",
];
const DASHES: [&str; 4] = ["none", "8 4", "2 4", "10 4 2 4"];

/// A series as it is drawn.
struct Plot<'a> {
    series: &'a Series<'a>,
    contestants: Vec<&'a str>,
    scale: Scale,
    axis: Axis,
}

pub(crate) fn section(series: &Series<'_>) -> Markup {
    let plot = Plot::new(series);
    html! {
        section.series id={ "s-" (series.name) } {
            h3 { (series.title()) }
            p.about {
                "Added over " b { (series.first().baseline) } ", " (series.first().unit)
                "; bars are 95 % confidence. The scale of the flows is logarithmic."
            }
            ul.legend {
                @for (at, name) in plot.contestants.iter().enumerate() {
                    li { (plot.key(at)) (name) }
                }
            }
            (plot.chart())
            (plot.table())
        }
    }
}

/// Where a share of the plot's height is, from the top and in pixels.
fn height(Percent(share): Percent) -> f64 {
    (10.0 * (TOP + PLOT * (1.0 - share))).round() / 10.0
}

impl<'a> Plot<'a> {
    fn new(series: &'a Series<'a>) -> Self {
        let contestants = series.contestants();
        let shown: Vec<f64> = contestants
            .iter()
            .flat_map(|name| series.line(name))
            .flat_map(|(_, added)| [added.spread.median, added.confidence[0], added.confidence[1]])
            .filter(|figure| figure.is_finite())
            .collect();
        let largest = shown.iter().fold(0.0, |largest: f64, figure| largest.max(figure.abs()));
        let scale = Scale::of(&series.first().unit, largest);
        let axis = Axis::over(shown.into_iter().map(|figure| scale.convert(figure)));
        Self { series, contestants, scale, axis }
    }

    fn x(&self, flows: u64) -> Percent {
        let of = |flows: u64| (flows as f64).ln();
        let sizes = &self.series.sizes;
        let (first, last) = (of(sizes[0].0), of(sizes[sizes.len() - 1].0));
        let share = if last > first { (of(flows) - first) / (last - first) } else { 0.5 };
        let [low, high] = ENDS;
        Percent(low + share * (high - low))
    }

    /// What an alternative adds, where it is a figure.
    fn line(&self, contestant: &str) -> Vec<(Percent, f64, &'a Added)> {
        let line = self.series.line(contestant).into_iter();
        line.filter_map(|(size, added)| Some((self.x(size), self.y(added.spread.median)?, added)))
            .collect()
    }

    fn y(&self, figure: f64) -> Option<f64> {
        self.axis.place(self.scale.convert(figure)).map(height)
    }

    /// The shape and dash of an alternative, which it shares with none of its colour.
    fn style(&self, at: usize) -> (Kind, &'static str, &'static str) {
        let kind = Kind::of(self.contestants[at]);
        let before = self.contestants[..at].iter().filter(|name| Kind::of(name) == kind).count();
        (kind, SHAPES[at % SHAPES.len()], DASHES[before % DASHES.len()])
    }

    fn key(&self, at: usize) -> Markup {
        let (kind, shape, dash) = self.style(at);
        html! {
            svg.mark.(kind.class()) width="36" height="20" aria-hidden="true" {
                line.curve x1="0" x2="36" y1="10" y2="10" stroke-dasharray=(dash) {}
                path.point transform="translate(18 10)" d=(shape) {}
            }
        }
    }

    fn chart(&self) -> Markup {
        let id = format!("series-{}", self.series.name);
        html! {
            svg.comparison role="img" width="100%" height=(TOP + PLOT + AXIS)
                aria-labelledby={ (id) "-title " (id) "-desc" } {
                title id={ (id) "-title" } { (self.series.title()) }
                desc id={ (id) "-desc" } {
                    "One line for each of " (self.contestants.join(", "))
                    ". The table below has the same figures."
                }
                (self.grid())
                @for at in 0..self.contestants.len() { (self.curve(at)) }
            }
        }
    }

    fn grid(&self) -> Markup {
        let bottom = TOP + PLOT;
        html! {
            g.grid {
                @for tick in self.axis.ticks(5) {
                    @let y = height(tick.place);
                    line.zero[tick.zero] x1="0" x2="100%" y1=(y) y2=(y) {}
                    text x="0" y=(y - 5.0) {
                        (tick.label) @if tick.last { " " (self.scale.symbol) }
                    }
                }
                @for (size, _) in &self.series.sizes {
                    line x1=(self.x(*size)) x2=(self.x(*size)) y1=(bottom) y2=(bottom + 5.0) {}
                    text x=(self.x(*size)) y=(bottom + 20.0) text-anchor="middle" {
                        (flows(*size))
                    }
                }
                text x="100%" y=(bottom + 36.0) text-anchor="end" { "flows" }
            }
        }
    }

    fn curve(&self, at: usize) -> Markup {
        let (kind, shape, dash) = self.style(at);
        let line = self.line(self.contestants[at]);
        html! {
            g.(kind.class()) {
                title { (self.contestants[at]) }
                @for pair in line.windows(2) {
                    line.curve stroke-dasharray=(dash)
                        x1=(pair[0].0) y1=(pair[0].1) x2=(pair[1].0) y2=(pair[1].1) {}
                }
                @for (x, y, added) in line {
                    @if let [Some(low), Some(high)] = added.confidence.map(|figure| self.y(figure)) {
                        line.interval x1=(x) x2=(x) y1=(low) y2=(high) {}
                    }
                    // Only an inner drawing can be placed by a share of the width.
                    svg.inner x=(x) y=(y) {
                        path.point.unresolved[!added.resolved] d=(shape) {}
                    }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            div.scroll role="region" tabindex="0" aria-label="Added, by the number of flows" {
                table.figures {
                    caption.unseen { (self.series.title()) ": added" }
                    thead {
                        tr {
                            th scope="col" { "Added, " (self.scale.symbol) }
                            @for (size, _) in &self.series.sizes {
                                th.number scope="col" { (flows(*size)) small { " flows" } }
                            }
                        }
                    }
                    tbody {
                        @for name in &self.contestants {
                            tr {
                                th.(Kind::of(name).class()) scope="row" { (name) }
                                @for (size, _) in &self.series.sizes { (self.cell(name, *size)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, name: &str, size: u64) -> Markup {
        let found = self.series.line(name).into_iter().find(|(flows, _)| *flows == size);
        html! {
            td.number {
                @match found {
                    Some((_, added)) => {
                        (self.scale.added(added.spread.median, added.confidence))
                        @if !added.resolved { br; small.doubt { "not resolved" } }
                    },
                    None => (PreEscaped("&ndash;")),
                }
            }
        }
    }
}
