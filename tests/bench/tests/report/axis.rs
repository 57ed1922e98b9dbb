use crate::report::axis::Axis;

#[test]
fn ticks_are_round_and_zero_is_one_of_them() {
    let labels = |figures: &[f64], parts| {
        let ticks = Axis::over(figures.iter().copied()).ticks(parts);
        ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>()
    };
    assert_eq!(labels(&[10.0, 2410.0], 4), ["0", "500", "1,000", "1,500", "2,000", "2,500"]);
    assert_eq!(labels(&[-12.0, 33.0], 4), ["−10", "0", "10", "20", "30"]);
    assert_eq!(labels(&[0.9], 4), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
    assert_eq!(labels(&[-3.0], 3), ["−3", "−2", "−1", "0"]);
}

#[test]
fn figures_that_are_none_move_nothing() {
    let axis = Axis::over([f64::NAN, f64::INFINITY, 5.0]);
    assert!(axis.place(5.0).is_some_and(|place| place.0 < 1.0 && place.0 > 0.9));
    assert_eq!(axis.place(f64::NAN), None);
    assert_eq!(Axis::over([]).ticks(2).len(), 3);
}
