//! Generated packets, whole and spoilt, and the fuzzer's corpus, against what must hold.

use proptest::prelude::*;
use prroute_oracle::{ETHERNET, check, corpus, generate};

/// A failure prints its packet: nothing need be kept beside it.
fn many() -> ProptestConfig {
    ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn whole_packets_are_read_as_etherparse_reads_them(
        facts in generate::facts(),
        frame in generate::frame(),
    ) {
        let bytes = frame.bytes();
        let read = etherparse::SlicedPacket::from_ethernet(&bytes);
        // Otherwise there would be nothing to compare with. Chains with a hop-by-hop header
        // in their middle, and what follows a later fragment, etherparse refuses.
        let is_plain = frame.extensions.iter().skip(1).all(|extension| extension.number != 0)
            && frame.fragment.is_none_or(|(offset, ..)| offset == 0);
        let is_parsed = matches!(frame.upper, prroute_oracle::frame::Upper::Bare { .. });
        prop_assert!(read.is_ok() || !is_plain || is_parsed, "{read:?}\n{frame:?}");
        let outcome = check(&[facts.as_slice(), &bytes].concat());
        prop_assert!(outcome.is_ok(), "{}\n{:?}", outcome.unwrap_err(), frame);
    }

    #[test]
    fn spoilt_packets_break_no_rule(
        facts in generate::facts(),
        frame in generate::spoilt_frame(),
    ) {
        let outcome = check(&[facts.as_slice(), &frame].concat());
        prop_assert!(outcome.is_ok(), "{}\n{:?}", outcome.unwrap_err(), frame);
    }

    #[test]
    fn any_bytes_break_no_rule(
        facts in generate::facts(),
        is_ipv4: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let ether_type: u16 = if is_ipv4 { 0x0800 } else { 0x86dd };
        let frame = [&[0; ETHERNET - 2], ether_type.to_be_bytes().as_slice(), &bytes].concat();
        let outcome = check(&[facts.as_slice(), &frame].concat());
        prop_assert!(outcome.is_ok(), "{}\n{:?}", outcome.unwrap_err(), frame);
    }
}

#[test]
fn the_corpus_breaks_no_rule() {
    let inputs = corpus::inputs().unwrap();
    assert!(inputs.len() >= 50, "{} inputs in {}", inputs.len(), corpus::folder().display());
    for (name, input) in inputs {
        check(&input).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
}
