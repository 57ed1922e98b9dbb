use crate::report::series::{all, flows, split};
use crate::tests::report::fixture;

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
    assert_eq!(all(&results.measurements)[0].title(), "UDP over … flows in random order");
}

#[test]
fn flows_are_counted_in_powers_of_two() {
    assert_eq!([flows(64), flows(1 << 16), flows(1 << 20)], ["64", "64 Ki", "1 Mi"]);
}
