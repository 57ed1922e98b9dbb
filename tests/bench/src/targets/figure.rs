//! The figure that a promise is about, taken from samples round by round.

use crate::results::{Measurement, Memory};
use crate::statistics::{differences, median_of, ratio};

const CONNMARK: &str = "connmark-legacy";

/// What is compared. Contestants go by their names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// %: what a contestant adds to the baseline, of what CONNMARK adds to it.
    ShareOfConnmark(&'static str),
    /// ns: what a contestant adds to the baseline, less what each of these parts adds to it, in
    /// the same round.
    Beyond { of: &'static str, parts: &'static [&'static str] },
    /// %: how much more one contestant takes than another.
    Growth { small: &'static str, large: &'static str },
    /// MB: all maps of a contestant.
    Maps(&'static str),
}

/// A figure and its 95 % confidence interval.
pub(crate) type Found = (f64, [f64; 2]);

impl Figure {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::ShareOfConnmark(_) | Self::Growth { .. } => "%",
            Self::Beyond { .. } => "ns",
            Self::Maps(_) => "MB",
        }
    }

    /// Who is compared.
    #[cfg(test)]
    pub(crate) fn contestants(self) -> Vec<&'static str> {
        match self {
            Self::ShareOfConnmark(name) => vec![name, CONNMARK],
            Self::Beyond { of, parts } => [&[of], parts].concat(),
            Self::Growth { small, large } => vec![small, large],
            Self::Maps(_) => Vec::new(),
        }
    }

    /// What a limit is put to, in words.
    pub(crate) fn promise(self, limit: f64, baseline: &str) -> String {
        match self {
            Self::ShareOfConnmark(_) => format!("<= {limit:.0} % of what CONNMARK adds"),
            Self::Growth { small, .. } => format!("<= {limit:.0} % more than {small}"),
            Self::Maps(_) => format!("<= {limit:.0} MB, and 1 % of the machine's memory"),
            Self::Beyond { parts, .. } => {
                let sign = if limit < 0.0 { '-' } else { '+' };
                let sum = if parts.is_empty() { baseline.to_owned() } else { parts.join(" + ") };
                format!("<= {sum} {sign} {:.0} ns", limit.abs())
            }
        }
    }

    /// From what was measured; `None` where a contestant took no part.
    pub(crate) fn of(self, measured: Option<&Measurement>, memory: &[Memory]) -> Option<Found> {
        if let Self::Maps(contestant) = self {
            let name = format!("{contestant}-maps");
            let bytes = memory.iter().find(|memory| memory.name == name)?.bytes;
            return Some((bytes / 1e6, [bytes / 1e6; 2]));
        }
        let measured = measured?;
        let samples = |name: &str| {
            let mut contestants = measured.contestants.iter();
            contestants.find(|contestant| contestant.name == name).map(|found| &found.samples)
        };
        let added = |name: &str| Some(differences(samples(name)?, samples(&measured.baseline)?));
        let percent =
            |(share, confidence): Found| (100.0 * share, confidence.map(|share| 100.0 * share));
        match self {
            Self::ShareOfConnmark(name) => Some(percent(ratio(&added(name)?, &added(CONNMARK)?))),
            Self::Beyond { of, parts } => {
                let mut left = added(of)?;
                for part in parts {
                    left = differences(&left, &added(part)?);
                }
                Some(median_of(&left))
            }
            Self::Growth { small, large } => {
                let (growth, confidence) = ratio(samples(large)?, samples(small)?);
                Some(percent((growth - 1.0, confidence.map(|growth| growth - 1.0))))
            }
            Self::Maps(_) => None,
        }
    }
}
