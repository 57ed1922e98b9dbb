//! Figures as people read them: no more digits than are sure, and a unit.

/// Above this many, the next larger unit is easier to read.
const LARGE: f64 = 10_000.0;

/// The unit that the figures of one chart or column share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    divisor: f64,
    pub(super) symbol: String,
}

impl Scale {
    /// For figures in `unit`, the largest of which is `largest`.
    pub(super) fn of(unit: &str, largest: f64) -> Self {
        let (quantity, _) = parts(unit);
        let (divisor, symbol) = match quantity {
            "ns" if largest >= 1000.0 * LARGE => (1e6, "ms"),
            "ns" if largest >= LARGE => (1e3, "µs"),
            other => (1.0, other),
        };
        Self { divisor, symbol: symbol.to_owned() }
    }

    pub(super) fn convert(&self, figure: f64) -> f64 {
        figure / self.divisor
    }

    /// As many digits as the interval that the figure lies in allows.
    pub(super) fn within(&self, figure: f64, [low, high]: [f64; 2]) -> String {
        let half = self.convert(high - low) / 2.0;
        grouped(self.convert(figure), decimals_within(self.convert(figure), half))
    }

    /// The same, of a figure that something is added by: with its sign.
    pub(super) fn added(&self, figure: f64, interval: [f64; 2]) -> String {
        signed(self.within(figure, interval))
    }

    /// Three digits or so.
    pub(super) fn rounded(&self, figure: f64) -> String {
        let figure = self.convert(figure);
        grouped(figure, decimals_of(figure))
    }
}

/// `ns per request` is so many `ns`, and each `per request`.
pub(super) fn parts(unit: &str) -> (&str, &str) {
    unit.split_once(' ').unwrap_or((unit, ""))
}

/// No zeros behind the point: for figures that somebody chose.
pub(super) fn chosen(figure: f64) -> String {
    let text = grouped(figure, 2);
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
pub(super) fn grouped(figure: f64, decimals: usize) -> String {
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

/// Decimals of a figure that is known within `half`, one of which is unsure.
fn decimals_within(figure: f64, half: f64) -> usize {
    if half.is_finite() && half > 0.0 {
        (-half.log10().floor()).clamp(0.0, 3.0) as usize
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

#[cfg(test)]
mod tests {
    use super::{Scale, chosen, grouped};

    #[test]
    fn figures_have_the_digits_that_their_interval_allows() {
        let ns = Scale::of("ns per packet", 900.0);
        assert_eq!(ns.added(31.4159, [31.2, 31.6]), "+31.4");
        assert_eq!(ns.added(31.4159, [28.0, 35.0]), "+31");
        assert_eq!(ns.added(-0.3, [-0.9, 0.3]), "−0.3");
        assert_eq!(ns.added(0.04, [-0.9, 0.9]), "0.0");
        assert_eq!(ns.added(-0.04, [-0.9, 0.9]), "0.0");
        assert_eq!(ns.added(f64::NAN, [f64::NAN; 2]), "–");
    }

    #[test]
    fn long_times_are_told_in_larger_units() {
        let scale = Scale::of("ns per connection", 25_431.0);
        assert_eq!((scale.symbol.as_str(), scale.rounded(25_431.0)), ("µs", "25.4".to_owned()));
        assert_eq!(Scale::of("ns", 9_999.0).rounded(9_999.0), "9,999");
        let cycles = Scale::of("cycles per byte", 1e9);
        assert_eq!((cycles.symbol.as_str(), cycles.rounded(0.5)), ("cycles", "0.50".to_owned()));
    }

    #[test]
    fn thousands_are_grouped_and_chosen_figures_end_with_a_digit_that_counts() {
        assert_eq!(grouped(1_048_576.0, 0), "1,048,576");
        assert_eq!(grouped(-1234.5, 1), "−1,234.5");
        assert_eq!(grouped(f64::INFINITY, 0), "–");
        assert_eq!(chosen(10.0), "10");
        assert_eq!(chosen(33.30), "33.3");
        assert_eq!(chosen(1000.0), "1,000");
    }
}
