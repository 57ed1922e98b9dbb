//! Which measurements are of one quantity, with more and more flows.

use crate::results::{Added, Measurement};

/// What stands before the number of flows in a measurement's name.
const FLOWS: &str = "-flows-";

/// Measurements that differ in the number of flows only.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    /// What their names have in common.
    pub(crate) name: &'a str,
    /// By the number of flows.
    pub(crate) sizes: Vec<(u64, &'a Measurement)>,
}

/// Series of two sizes or more, in the order of their first measurements.
pub(crate) fn all(measurements: &[Measurement]) -> Vec<Series<'_>> {
    let mut all: Vec<Series<'_>> = Vec::new();
    for measurement in measurements {
        let Some((name, flows)) = split(&measurement.name) else { continue };
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.sizes.push((flows, measurement)),
            None => all.push(Series { name, sizes: vec![(flows, measurement)] }),
        }
    }
    all.retain(|series| series.sizes.len() > 1);
    for series in &mut all {
        series.sizes.sort_by_key(|(flows, _)| *flows);
    }
    all
}

/// What comes before the number of flows, and that number.
pub(crate) fn split(name: &str) -> Option<(&str, u64)> {
    let (name, flows) = name.rsplit_once(FLOWS)?;
    flows.parse().ok().filter(|flows| *flows > 0).map(|flows| (name, flows))
}

impl<'a> Series<'a> {
    /// The smallest one, which stands for what they share.
    pub(crate) fn first(&self) -> &'a Measurement {
        self.sizes[0].1
    }

    /// The title of all sizes: what their titles share, around what they do not.
    pub(crate) fn title(&self) -> String {
        let words = |measurement: &'a Measurement| measurement.title.split(' ');
        let first: Vec<&str> = words(self.first()).collect();
        let (mut before, mut after) = (first.len(), first.len());
        for (_, measurement) in &self.sizes {
            let same = |(one, other): &(&&str, &str)| **one == *other;
            before = before.min(first.iter().zip(words(measurement)).take_while(same).count());
            let others: Vec<&str> = words(measurement).rev().collect();
            let from_end = first.iter().rev().zip(others);
            after = after.min(from_end.take_while(same).count());
        }
        if before == first.len() {
            return first.join(" ");
        }
        format!("{} … {}", first[..before].join(" "), first[first.len() - after..].join(" "))
    }

    /// Names of the alternatives that were compared at any size.
    pub(crate) fn contestants(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        for (_, measurement) in &self.sizes {
            for contestant in &measurement.contestants {
                if contestant.added.is_some() && !names.contains(&contestant.name.as_str()) {
                    names.push(contestant.name.as_str());
                }
            }
        }
        names
    }

    /// What an alternative adds at each size where it was timed.
    pub(crate) fn line(&self, contestant: &str) -> Vec<(u64, &'a Added)> {
        let at = |measurement: &'a Measurement| {
            measurement.contestants.iter().find(|c| c.name == contestant)?.added.as_ref()
        };
        self.sizes.iter().filter_map(|(flows, m)| Some((*flows, at(m)?))).collect()
    }
}

/// `65,536` is better known as `64 Ki`.
pub(crate) fn flows(flows: u64) -> String {
    const KI: u64 = 1 << 10;
    const MI: u64 = 1 << 20;
    match flows {
        MI.. if flows.is_multiple_of(MI) => format!("{} Mi", flows / MI),
        KI.. if flows.is_multiple_of(KI) => format!("{} Ki", flows / KI),
        _ => super::number::grouped(flows as f64, 0),
    }
}
