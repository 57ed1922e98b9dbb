//! How much a configuration may hold.

use std::time::{Duration, Instant};

use super::*;

/// An uplink with so many destinations, one per line, the first one on line 4.
fn destinations(name: &str, first: usize, count: usize) -> String {
    let net = |n: usize| format!("  \"20.{}.{}.0/24\",\n", n >> 8, n & 0xff);
    let nets: String = (first..first + count).map(net).collect();
    format!("[[uplink]]\nname = \"{name}\"\nto = [\n{nets}]\n")
}

/// The kernel compares every packet with each of them.
#[test]
fn the_number_of_destinations_is_limited_and_read_in_no_time() {
    let began = Instant::now();
    let most = parse(&destinations("a", 0, MAX_DESTINATIONS)).unwrap();
    assert_eq!(most.uplinks[0].to.len(), MAX_DESTINATIONS);
    let complaint = "to: more than 4096 destinations, and the kernel compares every packet with \
                     each of them: use shorter prefixes, or routes in the main table";
    assert_eq!(error(&destinations("a", 0, 60_000)), format!("prroute.toml:4100: {complaint}"));
    let two = [destinations("a", 0, 4_000), destinations("b", 4_000, 97)];
    let error = parse_all(&[&two[0], &two[1]]).unwrap_err().to_string();
    assert_eq!(error, format!("prroute.toml:100: {complaint}"));
    // Twice the same is once.
    parse_all(&[&two[0], &two[0], &destinations("b", 4_000, 96)]).unwrap();
    // Counted is what is left in the end.
    parse_all(&[&two[0], &two[1], "[[uplink]]\nname = \"a\"\nto = []\n"]).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn the_number_of_other_entries_is_limited_too() {
    let many = |one: &dyn Fn(usize) -> String, count| (0..count).map(one).collect::<String>();
    let uplink = |n| format!("[[uplink]]\nname = \"up{n}\"\n");
    assert!(parse(&many(&uplink, MAX_ENTRIES)).is_ok());
    assert_eq!(
        error(&many(&uplink, MAX_ENTRIES + 1)),
        "prroute.toml:2049: uplink: more than 1024 uplinks"
    );
    let pattern = |n| format!("  \"up{n}\",\n");
    let exclude = |count| format!("exclude = [\n{}]\n", many(&pattern, count));
    assert!(parse(&exclude(MAX_ENTRIES)).is_ok());
    assert_eq!(
        error(&exclude(MAX_ENTRIES + 1)),
        "prroute.toml:1026: exclude: more than 1024 patterns"
    );
    let gateway = |n| format!("  \"192.0.2.{n}\",\n");
    let gateways = format!("{}gateway = [\n{}]\n", uplink(0), many(&gateway, MAX_GATEWAYS + 1));
    assert_eq!(error(&gateways), "prroute.toml:68: gateway: more than 64 gateways");
}
