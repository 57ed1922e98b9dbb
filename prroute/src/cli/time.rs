//! Times, as words of a command.

use std::time::Duration;

/// A number and its unit; without one: seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_| format!("{text:?} is no time like 10s"))?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number.into())),
        Some("" | "s") => Ok(Duration::from_secs(number.into())),
        Some("m") => Ok(Duration::from_secs(u64::from(number) * 60)),
        _ => Err(format!("{text:?}: the unit is ms, s or m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("7"), Ok(Duration::from_secs(7)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert!(time("s").is_err() && time("1h").is_err() && time("-1s").is_err());
    }
}
