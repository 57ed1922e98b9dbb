//! Which measurements are of one quantity, with more and more flows.

use crate::results::{Added, Measurement};

/// What stands before the number of flows in a measurement's name.
const FLOWS: &str = "-flows-";

/// Measurements that differ in the number of flows only.
#[derive(Debug)]
pub(super) struct Series<'a> {
    /// What their names have in common.
    pub(super) name: &'a str,
    /// By the number of flows.
    pub(super) sizes: Vec<(u64, &'a Measurement)>,
}

/// Series of two sizes or more, in the order of their first measurements.
pub(super) fn all(measurements: &[Measurement]) -> Vec<Series<'_>> {
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

fn split(name: &str) -> Option<(&str, u64)> {
    let (name, flows) = name.rsplit_once(FLOWS)?;
    flows.parse().ok().filter(|flows| *flows > 0).map(|flows| (name, flows))
}

impl<'a> Series<'a> {
    /// The smallest one, which stands for what they share.
    pub(super) fn first(&self) -> &'a Measurement {
        self.sizes[0].1
    }

    /// The words with which the titles of all sizes begin.
    pub(super) fn title(&self) -> String {
        let mut shared: Vec<&str> = self.first().title.split_whitespace().collect();
        for (_, measurement) in &self.sizes {
            let words = measurement.title.split_whitespace();
            let same = shared.iter().zip(words).take_while(|(one, other)| *one == other).count();
            shared.truncate(same);
        }
        let title = shared.join(" ");
        let title = title.trim_end_matches([',', ':', ';']);
        if title.is_empty() { self.name.to_owned() } else { title.to_owned() }
    }

    /// Names of the alternatives that were compared at any size.
    pub(super) fn contestants(&self) -> Vec<&'a str> {
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
    pub(super) fn line(&self, contestant: &str) -> Vec<(u64, &'a Added)> {
        let at = |measurement: &'a Measurement| {
            measurement.contestants.iter().find(|c| c.name == contestant)?.added.as_ref()
        };
        self.sizes.iter().filter_map(|(flows, m)| Some((*flows, at(m)?))).collect()
    }
}

/// `65,536` is better known as `64 Ki`.
pub(super) fn flows(flows: u64) -> String {
    const KI: u64 = 1 << 10;
    const MI: u64 = 1 << 20;
    match flows {
        MI.. if flows.is_multiple_of(MI) => format!("{} Mi", flows / MI),
        KI.. if flows.is_multiple_of(KI) => format!("{} Ki", flows / KI),
        _ => super::number::grouped(flows as f64, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{all, flows, split};
    use crate::report::fixture;

    #[test]
    fn sizes_are_told_from_names_and_in_order() {
        assert_eq!(split("udp-ipv4-flows-65536"), Some(("udp-ipv4", 65_536)));
        assert_eq!(split("udp-ipv4"), None);
        assert_eq!(split("udp-flows-many"), None);
        let results = fixture::results();
        let series = all(&results.measurements);
        let sizes: Vec<u64> = series[0].sizes.iter().map(|(flows, _)| *flows).collect();
        assert_eq!((series.len(), sizes), (1, vec![1 << 10, 1 << 16, 1 << 20]));
    }

    #[test]
    fn a_title_of_all_sizes_is_what_their_titles_share() {
        let results = fixture::results();
        assert_eq!(all(&results.measurements)[0].title(), "UDP over random flows");
    }

    #[test]
    fn flows_are_counted_in_powers_of_two() {
        assert_eq!([flows(64), flows(1 << 16), flows(1 << 20)], ["64", "64 Ki", "1 Mi"]);
    }
}
