use crate::report::number::{Scale, chosen, grouped};

#[test]
fn figures_have_the_digits_that_their_interval_allows() {
    let ns = Scale::of("ns per packet", 900.0);
    assert_eq!(ns.added(31.4159, [31.2, 31.6]), "+31.42");
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
    let ticks = Scale::of("clock ticks per byte", 1e9);
    assert_eq!((ticks.symbol.as_str(), ticks.rounded(0.5)), ("ticks", "0.50".to_owned()));
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
