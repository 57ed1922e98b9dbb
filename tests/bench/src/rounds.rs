//! The method: alternatives take turns every few milliseconds, in an order that rotates.
//!
//! Whatever disturbs the machine for longer than a turn disturbs all of them alike, and what is
//! compared are always the samples of one round.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::results::{Contestant, Measurement};
use crate::statistics;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Length of one contestant's turn.
    pub(crate) turn: Duration,
}

/// Rounds that are not counted: caches, branch predictors and neighbours settle.
const WARM_UP: usize = 5;

/// Something that can be done often.
pub(crate) trait Work {
    fn name(&self) -> String;
    /// Does it `times` times.
    fn work(&mut self, times: u32) -> Result<()>;
}

/// What is measured, in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// The contestant that the others are compared with.
    pub(crate) baseline: &'a str,
    /// The unit in nanoseconds of one operation.
    pub(crate) scale: f64,
}

/// Measures all contestants against each other.
pub(crate) fn measure(
    subject: Subject<'_>,
    contestants: &mut [Box<dyn Work + '_>],
    effort: Effort,
) -> Result<Measurement> {
    let failed = |name: String| format!("{}: {name}", subject.name);
    let batch = calibrate(contestants, effort.turn)?;
    let mut samples = vec![Vec::with_capacity(effort.rounds); contestants.len()];
    for round in 0..WARM_UP + effort.rounds {
        for index in order(contestants.len(), round) {
            let contestant = &mut contestants[index];
            let took =
                time(contestant.as_mut(), batch).with_context(|| failed(contestant.name()))?;
            if round >= WARM_UP {
                let each = took.as_secs_f64() * 1e9 / f64::from(batch);
                samples[index].push(each * subject.scale);
            }
        }
    }
    let names: Vec<String> = contestants.iter().map(|contestant| contestant.name()).collect();
    let baseline = names
        .iter()
        .position(|name| name == subject.baseline)
        .with_context(|| format!("{}: no contestant {}", subject.name, subject.baseline))?;
    let base = samples[baseline].clone();
    let contestants = names.into_iter().zip(samples).enumerate().map(|(index, (name, samples))| {
        let added = (index != baseline).then(|| statistics::added(&samples, &base));
        Contestant { name, time: statistics::spread(&samples), added, samples }
    });
    Ok(Measurement {
        name: subject.name.to_owned(),
        title: subject.title.to_owned(),
        unit: subject.unit.to_owned(),
        baseline: subject.baseline.to_owned(),
        batch,
        contestants: contestants.collect(),
    })
}

/// Who works after whom: each begins a round as often as the others, and the way round changes,
/// so that nobody always follows the same one.
fn order(contestants: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contestants).map(|turn| (turn + round) % contestants).collect();
    if round / contestants % 2 == 1 {
        order.reverse();
    }
    order
}

/// How many operations of the slowest contestant fill a turn: all do the same number.
fn calibrate(contestants: &mut [Box<dyn Work + '_>], turn: Duration) -> Result<u32> {
    let mut least = u32::MAX;
    for contestant in contestants {
        let mut batch = 1;
        let enough = loop {
            let took = least_of_three(contestant.as_mut(), batch)
                .with_context(|| format!("calibrate {}", contestant.name()))?;
            if took >= turn / 2 {
                let share = turn.as_secs_f64() / took.as_secs_f64();
                break (f64::from(batch) * share).max(1.0) as u32;
            }
            batch *= 2;
        };
        least = least.min(enough);
    }
    Ok(least)
}

/// One disturbance would make every turn too short.
fn least_of_three(contestant: &mut dyn Work, batch: u32) -> Result<Duration> {
    let first = time(contestant, batch)?;
    Ok(first.min(time(contestant, batch)?).min(time(contestant, batch)?))
}

fn time(contestant: &mut dyn Work, batch: u32) -> Result<Duration> {
    let start = Instant::now();
    contestant.work(batch)?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn everybody_works_once_a_round_and_begins_as_often_as_the_others() {
        let mut first = [0; 3];
        for round in 0..18 {
            let mut order = order(3, round);
            first[order[0]] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
        assert_eq!(first, [6, 6, 6]);
    }
}
