//! The removal waits for connections that have a mark which it took away.

use std::process::Command;

use super::files;
use crate::import::{Notation, translate};

/// The script for rules that set these marks.
fn script(sets: &[&str]) -> String {
    let mut text = "ip route add default via 10.0.1.1 dev eth1 table 7\n".to_owned();
    for set in sets {
        let value = set.split('/').next().unwrap_or_default();
        text.push_str(&format!(
            "ip rule add fwmark {value}/0xff lookup 7\n\
             iptables -t mangle -A PREROUTING -i eth1 -j CONNMARK --set-xmark {set}\n"
        ));
    }
    let import = translate(&files(&[(Notation::Script, "s", &text)]));
    assert_eq!((import.kept.len(), import.marks.len()), (0, sets.len()), "{import:?}");
    import.removal(&"default".parse().unwrap(), &[])
}

/// Whether a shell that runs the script would wait for a connection.
fn is_waited_for(script: &str, connection: &str) -> bool {
    let begin = script.find("marked() {").unwrap();
    let end = script.find("while marked; do").unwrap();
    let list = format!("connections() {{ echo '{connection}'; }}\n");
    let text = format!("set -e\n{list}{}if marked; then exit 10; fi\n", &script[begin..end]);
    let status = Command::new("sh").args(["-c", &text]).status().unwrap();
    assert!(matches!(status.code(), Some(0 | 10)), "{status}: {text}");
    status.code() == Some(10)
}

#[test]
fn bits_of_others_in_a_mark_do_not_hide_it() {
    let script = script(&["0x1/0xff", "0x20/0xf0", "0x3"]);
    assert!(!script.contains("grep -q"), "{script}");
    for condition in [
        "[ $((mark & 0xff)) -eq 1 ]",
        "[ $((mark & 0xf0)) -eq 32 ]",
        "[ $((mark & 0xffffffff)) -eq 3 ]",
    ] {
        assert!(script.contains(condition), "{condition}: {script}");
    }
    let udp = "ipv4     2 udp      17 29 src=10.0.9.2 dst=10.0.1.2 sport=5 dport=6 src=10.0.1.2 dst=10.0.9.2 \
               sport=6 dport=5";
    for (mark, is_ours) in [
        (0x1, true),
        (0x101, true),
        (0xdead_0001_u32, true),
        (0x1021, true),
        (0x3, true),
        (0x103, false),
        (0x2, false),
        (0, false),
    ] {
        let line = format!("{udp} mark={mark} zone=0 use=2");
        assert_eq!(is_waited_for(&script, &line), is_ours, "{mark:#x}");
        // As conntrack lists it; TCP needs no patience.
        let line = line.replace("ipv4     2 ", "");
        assert_eq!(is_waited_for(&script, &line), is_ours, "{mark:#x}");
        assert!(!is_waited_for(&script, &line.replace("udp      17", "tcp      6")));
    }
    assert!(!is_waited_for(&script, udp));
}

#[test]
fn marks_that_are_whole_are_compared_as_they_are_listed() {
    let script = script(&["0x1", "0x2/0xffffffff"]);
    assert!(script.contains("grep -q -w -E 'mark=(1|2)'"), "{script}");
    assert!(!script.contains("marked"), "{script}");
}
