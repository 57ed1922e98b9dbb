//! Figures as people read them: no more digits than are sure, and a unit.

/// Above this many, the next larger unit is easier to read.
const LARGE: f64 = 10_000.0;

/// The unit that the figures of one chart or column share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    divisor: f64,
    pub(crate) symbol: String,
}

impl Scale {
    /// For figures in `unit`, the largest of which is `largest`.
    pub(crate) fn of(unit: &str, largest: f64) -> Self {
        let (divisor, symbol) = match counted(unit) {
            "ns" if largest >= 1000.0 * LARGE => (1e6, "ms"),
            "ns" if largest >= LARGE => (1e3, "µs"),
            other => (1.0, other),
        };
        Self { divisor, symbol: symbol.to_owned() }
    }

    pub(crate) fn convert(&self, figure: f64) -> f64 {
        figure / self.divisor
    }

    /// As many digits as the interval that the figure lies in allows.
    pub(crate) fn within(&self, figure: f64, [low, high]: [f64; 2]) -> String {
        let half = self.convert(high - low) / 2.0;
        grouped(self.convert(figure), decimals_within(self.convert(figure), half))
    }

    /// The same, of a figure that something is added by: with its sign.
    pub(crate) fn added(&self, figure: f64, interval: [f64; 2]) -> String {
        signed(self.within(figure, interval))
    }

    /// Three digits or so.
    pub(crate) fn rounded(&self, figure: f64) -> String {
        let figure = self.convert(figure);
        grouped(figure, decimals_of(figure))
    }
}

/// `ns per request` counts `ns`, one `request` at a time; of a long name the last word counts.
fn counted(unit: &str) -> &str {
    let quantity = unit.split_once(" per ").map_or(unit, |(quantity, _)| quantity);
    quantity.rsplit(' ').next().unwrap_or(quantity)
}

/// `per request`.
pub(crate) fn per(unit: &str) -> String {
    unit.split_once(" per ").map(|(_, operation)| format!("per {operation}")).unwrap_or_default()
}

/// No zeros behind the point: for figures that somebody chose.
pub(crate) fn chosen(figure: f64) -> String {
    let text = grouped(figure, 1);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// With the sign that says that it comes on top.
fn signed(figure: String) -> String {
    let zero = !figure.contains(|digit: char| ('1'..='9').contains(&digit));
    if zero || figure.starts_with('−') || figure == UNKNOWN {
        figure
    } else {
        format!("+{figure}")
    }
}

/// What stands for a figure that is none.
const UNKNOWN: &str = "–";

/// With commas between thousands.
pub(crate) fn grouped(figure: f64, decimals: usize) -> String {
    if !figure.is_finite() {
        return UNKNOWN.to_owned();
    }
    let digits = format!("{:.decimals$}", figure.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let negative = figure < 0.0 && digits.contains(|digit: char| ('1'..='9').contains(&digit));
    let mut text = String::from(if negative { "−" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// Decimals of a figure that is known within `half`: its last digit is worth at most a third of it.
fn decimals_within(figure: f64, half: f64) -> usize {
    if half.is_finite() && half > 0.0 {
        (-(half / 3.0).log10().floor()).clamp(0.0, 3.0) as usize
    } else {
        decimals_of(figure)
    }
}

fn decimals_of(figure: f64) -> usize {
    match figure.abs() {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    }
}
