//! Medians of paired differences, and how far to trust them.

use crate::results::{Added, Spread};

/// Times the rounds are drawn again for the confidence interval of a ratio.
const RESAMPLES: usize = 2000;

/// 1.96 standard deviations of a median's rank: 95 %.
const RANKS: f64 = 0.98;

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples
}

/// The value below which `share` of the sorted samples lie.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = share * last as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    let weight = position - below as f64;
    sorted[below] * (1.0 - weight) + sorted[above] * weight
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(&sorted(samples), 0.5)
}

pub(crate) fn spread(samples: &[f64]) -> Spread {
    let sorted = sorted(samples);
    Spread {
        median: quantile(&sorted, 0.5),
        lower_quartile: quantile(&sorted, 0.25),
        upper_quartile: quantile(&sorted, 0.75),
    }
}

/// What `samples` take longer than `baseline`, round by round.
pub(crate) fn added(samples: &[f64], baseline: &[f64]) -> Added {
    let differences = sorted(&differences(samples, baseline));
    let confidence = median_confidence(&differences);
    Added {
        spread: spread(&differences),
        confidence,
        resolved: confidence[0] > 0.0 || confidence[1] < 0.0,
    }
}

/// The paired differences of two contestants.
pub(crate) fn differences(samples: &[f64], baseline: &[f64]) -> Vec<f64> {
    samples.iter().zip(baseline).map(|(sample, base)| sample - base).collect()
}

/// The median of a series of differences, and where it lies with 95 % confidence.
pub(crate) fn median_of(differences: &[f64]) -> (f64, [f64; 2]) {
    let sorted = sorted(differences);
    (quantile(&sorted, 0.5), median_confidence(&sorted))
}

/// By the ranks of the sorted samples: says nothing about how they are distributed.
fn median_confidence(sorted: &[f64]) -> [f64; 2] {
    let Some(last) = sorted.len().checked_sub(1) else { return [f64::NAN; 2] };
    let middle = last as f64 / 2.0;
    let reach = RANKS * (sorted.len() as f64).sqrt();
    let low = (middle - reach).floor().max(0.0) as usize;
    let high = ((middle + reach).ceil() as usize).min(last);
    [sorted[low], sorted[high]]
}

/// The ratio of the medians of two series that were taken round by round, and its 95 %
/// confidence interval by drawing the rounds again (bootstrap).
pub(crate) fn ratio(numerator: &[f64], denominator: &[f64]) -> (f64, [f64; 2]) {
    let rounds = numerator.len().min(denominator.len());
    // A fixed seed: the same samples give the same interval.
    let mut random = fastrand::Rng::with_seed(1);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    let (mut above, mut below) = (vec![0.0; rounds], vec![0.0; rounds]);
    for _ in 0..RESAMPLES {
        for drawn in 0..rounds {
            let round = random.usize(0..rounds);
            above[drawn] = numerator[round];
            below[drawn] = denominator[round];
        }
        ratios.push(median(&above) / median(&below));
    }
    let ratios = sorted(&ratios);
    let whole = median(numerator) / median(denominator);
    (whole, [quantile(&ratios, 0.025), quantile(&ratios, 0.975)])
}

#[cfg(test)]
mod tests {
    use super::{added, median, ratio, spread};

    #[test]
    fn medians_and_quartiles_lie_between_the_samples() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let spread = spread(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((spread.lower_quartile, spread.upper_quartile), (2.0, 4.0));
    }

    #[test]
    fn a_difference_within_the_noise_is_not_resolved() {
        let base: Vec<f64> = (0..100).map(|round| f64::from(round % 10)).collect();
        let noisy: Vec<f64> = (0..100).map(|round| f64::from((round + 5) % 10)).collect();
        assert!(!added(&noisy, &base).resolved);
        let slower: Vec<f64> = base.iter().map(|time| time + 1.0).collect();
        let slower = added(&slower, &base);
        assert!(slower.resolved);
        assert_eq!(slower.spread.median, 1.0);
    }

    #[test]
    fn drift_that_both_share_does_not_count() {
        let base: Vec<f64> = (0..50).map(|round| f64::from(round) * 100.0).collect();
        let slower: Vec<f64> = base.iter().map(|time| time + 3.0).collect();
        assert_eq!(added(&slower, &base).spread.median, 3.0);
    }

    #[test]
    fn a_ratio_lies_in_its_interval() {
        let small: Vec<f64> = (0..100).map(|round| 10.0 + f64::from(round % 3)).collect();
        let large: Vec<f64> = (0..100).map(|round| 100.0 + f64::from(round % 7)).collect();
        let (ratio, [low, high]) = ratio(&small, &large);
        assert!(low <= ratio && ratio <= high && high < 0.12, "{low} {ratio} {high}");
    }
}
