use super::*;

fn takes(filter: &str, change: impl FnOnce(&mut Facts<'_>)) -> bool {
    let mut flow = Facts {
        local: ("192.0.2.10".parse().unwrap(), 443),
        remote: ("198.51.100.7".parse().unwrap(), 40_000),
        uplink: Some("eth1"),
        state: State::Ok,
    };
    change(&mut flow);
    let wanted = Wanted::parse(filter).unwrap_or_else(|error| panic!("{error}"));
    wanted.names(&flow) && wanted.is_about(flow.state)
}

#[test]
fn without_a_state_what_lives_is_meant() {
    let idle = |flow: &mut Facts<'_>| flow.state = State::Idle;
    let new = |flow: &mut Facts<'_>| flow.state = State::New;
    assert!(takes("", |_| {}) && takes("", new) && !takes("", idle));
    assert!(takes("state all", idle) && takes("state idle", idle) && !takes("state live", idle));
    assert!(takes("state new", new) && !takes("state ok", new));
    let fin = |flow: &mut Facts<'_>| flow.state = State::Fin;
    assert!(!takes("", fin) && takes("state fin", fin) && !takes("state idle or state live", fin));
    let fall = |flow: &mut Facts<'_>| flow.state = State::Fall;
    assert!(takes("", fall) && takes("state live and state fall", fall));
}

#[test]
fn addresses_and_ports_are_those_of_either_end() {
    for filter in [
        "src 192.0.2.10",
        "src 192.0.2.0/24:443 dst 198.51.100.0/24",
        "sport 443",
        "sport = :443 and dport > 1024",
        "src :443",
        "src *:443 dst *:*",
        "not dst [2001:db8::/32]:40000",
        "dport ne 80",
        "dport >= 40000 dport <= 40000 dport != 1 dport lt 40001 dport gt 39999",
    ] {
        assert!(takes(filter, |_| {}), "{filter}");
    }
    for filter in ["src 198.51.100.7", "dport 443", "dst 198.51.100.7:443", "src ::/0"] {
        assert!(!takes(filter, |_| {}), "{filter}");
    }
    let v6 = |flow: &mut Facts<'_>| flow.local = ("2001:db8::1".parse().unwrap(), 53);
    assert!(takes("src 2001:db8::/32", v6) && takes("src [2001:db8::1]:53", v6));
    assert!(!takes("src [2001:db8::1]:54", v6));
}

#[test]
fn and_binds_closer_than_or_and_not_closer_than_both() {
    let yes = ["uplink eth1 or sport 1 and sport 2", "not sport 1 and dev eth1", "!uplink eth0"];
    let no = ["( uplink eth1 or sport 1 ) and sport 2", "not ( sport 1 or dev eth1 )"];
    assert!(yes.iter().all(|filter| takes(filter, |_| {})));
    assert!(no.iter().all(|filter| !takes(filter, |_| {})));
    assert!(takes("(sport 443)&&(dport 40000)||uplink eth9", |_| {}));
    assert!(!takes("uplink eth1", |flow| flow.uplink = None), "it is gone");
}

#[test]
fn what_is_wrong_has_a_mark_below_it() {
    for (filter, message, at) in [
        ("uplink", "the name of an uplink is missing at the end", 6),
        (
            "dstt 10.0.0.0/8",
            "\"dstt\" is not a condition (src, dst, sport, dport, uplink, state)",
            0,
        ),
        (
            "src 10.0.0.0/33",
            "\"10.0.0.0/33\" is no address, as 192.0.2.0/24, 192.0.2.1:80, [2001:db8::1]:80 or :80",
            4,
        ),
        ("sport > 70000", "\"70000\" is no port number", 8),
        ("( sport 1", "a ) is missing at the end", 9),
        ("sport 1 )", "there is no ( for this", 8),
        ("state dead", "\"dead\" is no state: live, new, ok, fall, fin, idle, all", 6),
        (
            "sport 1 and",
            "a condition (src, dst, sport, dport, uplink, state) is missing at the end",
            11,
        ),
    ] {
        let error = Wanted::parse(filter).unwrap_err();
        assert_eq!((error.message.as_str(), error.at), (message, at), "{filter}");
    }
    let error = Wanted::parse("uplink wän0 and x").unwrap_err();
    assert!(error.to_string().ends_with("\n  uplink wän0 and x\n                  ^"), "{error}");
}

#[test]
fn a_filter_has_an_end() {
    for part in ["( ", "not ", "sport 1 and ", "! "] {
        let error = Wanted::parse(&part.repeat(100_000)).unwrap_err();
        assert_eq!(error.message, "more than 100 conditions", "{part}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error(text in "\\PC{0,40}") {
        drop(Wanted::parse(&text).map_err(|error| error.to_string()));
    }

    #[test]
    fn any_words_are_a_filter_or_an_error(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "src", "dst", "sport", "dport", "uplink", "state", "not", "and", "or", "(", ")",
                "10.0.0.0/8", "[::1]:80", ":1", "=", ">", "all", "new", "!", "ä",
            ]),
            0..12,
        )
    ) {
        drop(Wanted::parse(&words.join(" ")).map_err(|error| error.to_string()));
    }
}
