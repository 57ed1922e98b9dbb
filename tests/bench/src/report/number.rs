//! Figures as people read them.

/// What stands for a figure that is none.
const UNKNOWN: &str = "-";

/// With commas between thousands.
pub(crate) fn grouped(figure: f64, decimals: usize) -> String {
    if !figure.is_finite() {
        return UNKNOWN.to_owned();
    }
    let digits = format!("{:.decimals$}", figure.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let mut text = String::from(if figure < 0.0 && !is_zero(&digits) { "-" } else { "" });
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

/// Likewise, with the sign that says that it comes on top.
pub(crate) fn added(figure: f64, decimals: usize) -> String {
    let text = grouped(figure, decimals);
    if text == UNKNOWN || text.starts_with('-') || is_zero(&text) {
        text
    } else {
        format!("+{text}")
    }
}

fn is_zero(digits: &str) -> bool {
    !digits.contains(|digit: char| ('1'..='9').contains(&digit))
}

#[cfg(test)]
mod tests {
    use super::{added, grouped};

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567.89, 1), "1,234,567.9");
        assert_eq!(grouped(-1234.0, 0), "-1,234");
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(f64::NAN, 0), "-");
    }

    #[test]
    fn what_is_added_has_a_sign_unless_it_is_nothing() {
        assert_eq!(added(12.34, 1), "+12.3");
        assert_eq!(added(-0.6, 0), "-1");
        assert_eq!(added(-0.2, 0), "0");
    }
}
