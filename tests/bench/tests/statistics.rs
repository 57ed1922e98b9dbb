use crate::statistics::{added, median, ratio, spread};

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
