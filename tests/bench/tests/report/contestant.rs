use crate::report::contestant::Kind;

#[test]
fn alternatives_are_told_by_what_they_rely_on() {
    assert_eq!(Kind::of("prroute-last-hop"), Kind::Prroute);
    assert_eq!(Kind::of("connmark-legacy"), Kind::Conntrack);
    assert_eq!(Kind::of("ct-mark"), Kind::Conntrack);
    assert_eq!(Kind::of("conntrack"), Kind::Conntrack);
    assert_eq!(Kind::of("source-rules"), Kind::Other);
}
