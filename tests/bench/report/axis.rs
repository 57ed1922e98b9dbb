//! Where figures stand on an axis, as shares of its length, so that charts stretch with the page.

use std::fmt;

use super::number::grouped;

/// A linear axis that contains zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
}

/// Free at either end, as a share of what the figures cover: room for a mark.
const MARGIN: f64 = 0.04;

impl Axis {
    /// Holds zero and all of `figures` that are numbers.
    pub(crate) fn over(figures: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for figure in figures.into_iter().filter(|figure| figure.is_finite()) {
            low = low.min(figure);
            high = high.max(figure);
        }
        if low == high {
            high = 1.0;
        }
        let margin = MARGIN * (high - low);
        Self { low: low - margin, high: high + margin }
    }

    fn share(&self, figure: f64) -> Percent {
        Percent(((figure - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    /// `None`: there is no such place.
    pub(crate) fn place(&self, figure: f64) -> Option<Percent> {
        figure.is_finite().then(|| self.share(figure))
    }

    /// Where a bar between two figures begins, and its length.
    pub(crate) fn span(&self, [from, to]: [f64; 2]) -> Option<(Percent, Percent)> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        Some((from, Percent((to.0 - from.0).max(0.0))))
    }

    /// Round figures that divide the axis into `parts`, or a few more or less.
    pub(crate) fn ticks(&self, parts: u32) -> Vec<Tick> {
        let rough = (self.high - self.low) / f64::from(parts);
        let power = 10.0_f64.powf(rough.log10().floor());
        // The round figure that is nearest, as factors go.
        let step = match rough / power {
            ..1.41 => power,
            ..3.16 => 2.0 * power,
            ..7.07 => 5.0 * power,
            _ => 10.0 * power,
        };
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last)
            .map(|multiple| {
                let figure = multiple as f64 * step;
                Tick {
                    place: self.share(figure),
                    label: grouped(figure, decimals),
                    zero: multiple == 0,
                    last: multiple == last,
                }
            })
            .collect()
    }
}

/// A figure that is written on the axis.
#[derive(Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) place: Percent,
    pub(crate) label: String,
    pub(crate) zero: bool,
    /// The one at the high end.
    pub(crate) last: bool,
}

/// A share of the width of a drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl Percent {
    /// Which end of a text stands here, so that it does not run over the drawing's edge.
    pub(crate) fn anchor(self) -> &'static str {
        match self.0 {
            share if share < 0.06 => "start",
            share if share > 0.94 => "end",
            _ => "middle",
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}%", 100.0 * self.0)
    }
}
