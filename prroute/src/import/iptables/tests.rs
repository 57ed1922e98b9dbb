use super::*;
use crate::family::Family;

/// The marks of an administrator whose containers answer on the second interface.
const SAVED: &str = "\
*mangle
-A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
[12:3456] -A PREROUTING -i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL -j CONNMARK --set-xmark 0x1/0xffffffff
-A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m comment --comment \"a b\" -j ACCEPT
COMMIT
";

#[test]
fn marks_of_connections_are_read_as_they_are_saved() {
    let setup = read("rules.v4", SAVED);
    assert_eq!(setup.unread, []);
    let [restore, set, own] = &setup.marks[..] else { panic!("{:?}", setup.marks) };
    let mark = Mark { value: 1, mask: u32::MAX };
    assert_eq!(set.marking, Marking::Set { iif: Some("eth1".to_owned()), mark });
    assert_eq!((&restore.marking, &own.marking), (&Marking::Copy, &Marking::Copy));
    assert!(!set.selective);
    assert_eq!(
        set.deletion(),
        "iptables -t mangle -D PREROUTING -i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL \
         -j CONNMARK --set-xmark 0x1/0xffffffff"
    );
    assert!(own.deletion().contains(" ! --ctstate NEW "), "{}", own.deletion());
    assert_eq!(read("ip6tables", SAVED).marks[0].program, "ip6tables");
}

#[test]
fn a_rule_for_some_packets_only_says_so() {
    for rule in [
        "-A PREROUTING -i eth1 -p tcp --dport 80 -j CONNMARK --set-mark 1",
        "-A PREROUTING ! -i eth1 -j MARK --set-mark 1",
        "-A mine -i eth1 -j MARK --set-mark 1",
        "-A PREROUTING -i eth1 -m conntrack ! --ctstate NEW -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m conntrack --ctstate INVALID -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m conntrack --ctstate RELATED,ESTABLISHED -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m state --state ESTABLISHED -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m state ! --state NEW -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m conntrack --ctdir REPLY -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m conntrack ! --ctdir ORIGINAL -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m socket -j MARK --set-mark 1",
        "-A PREROUTING -i eth1 -m rpfilter -j MARK --set-mark 1",
        "-A PREROUTING -i eth1 -m mark --mark 0x8/0x8 -j CONNMARK --set-mark 1",
        "-A PREROUTING -i eth1 -m connmark ! --mark 0x0 -j CONNMARK --set-mark 1",
    ] {
        let setup = read("s", &format!("*mangle\n{rule}\n"));
        assert!(setup.marks[0].selective, "{rule}");
    }
}

#[test]
fn a_rule_for_the_first_packet_of_each_connection_is_for_all() {
    for conditions in [
        "",
        "-m conntrack --ctstate NEW",
        "-m conntrack --ctstate NEW,RELATED --ctdir ORIGINAL",
        "-m state --state INVALID,NEW",
        "-m conntrack --ctstate NEW -m comment --comment socket",
        "-m connmark --mark 0x0 -m mark --mark 0/0xff",
    ] {
        let rule = format!("-A PREROUTING -i eth1 {conditions} -j CONNMARK --set-mark 1");
        let setup = read("s", &format!("*mangle\n{rule}\n"));
        assert!(!setup.marks[0].selective, "{rule}");
    }
}

#[test]
fn what_is_not_understood_is_told_with_its_line() {
    let said = |text| read("s", text).unread.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said("-A PREROUTING -j MARK --set-mark 1"),
        ["s:1: no line `*TABLE` stands before this rule"]
    );
    assert_eq!(
        said("*mangle\n-A PREROUTING -j MARK --or-mark 1\n"),
        ["s:2: what `-j MARK --or-mark 1` does is not understood"]
    );
    assert_eq!(said("hello"), ["s:1: this is no line of iptables-save"]);
}

fn of_command(text: &str) -> Setup {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let mut setup = Setup::default();
    let place = Place { source: "s".into(), line: Some(1) };
    if let Err(NotRead { subject, why }) = command(&words, "iptables", place.clone(), &mut setup) {
        setup.miss_of(place, subject, why);
    }
    setup
}

#[test]
fn a_command_may_wait_for_the_lock() {
    for waits in ["-w", "-w 5", "--wait", "--wait 5", "--wait=5", "-w 5 -W 100000"] {
        let setup =
            of_command(&format!("{waits} -t mangle -A PREROUTING -i eth2 -j MARK --set-mark 1"));
        assert_eq!(setup.unread, [], "{waits}");
        let mark = Mark { value: 1, mask: u32::MAX };
        let set = Marking::Set { iif: Some("eth2".to_owned()), mark };
        assert_eq!(setup.marks[0].marking, set, "{waits}");
        assert_eq!(setup.marks[0].table, "mangle", "{waits}");
    }
}

#[test]
fn no_command_about_marks_is_passed_over_in_silence() {
    for command in [
        "-t mangle -R PREROUTING 1 -i eth2 -j MARK --set-mark 1",
        "-t mangle -APREROUTING -i eth2 -j MARK --set-mark 1",
        "-t mangle -A PREROUTING -i eth2 --jump=MARK --set-mark 1",
        "-t mangle -A PREROUTING -i eth2 -jCONNMARK --set-mark=1",
        "-t mangle -A PREROUTING -p tcp -j TPROXY --on-port 1 --tproxy-mark 1",
        "-t mangle -A PREROUTING -i eth2 -j MARK --set-mark $MARK",
    ] {
        let setup = of_command(command);
        let subjects: Vec<_> = setup.unread.iter().map(|unread| &unread.subject).collect();
        assert_eq!(subjects, [&Subject::Marks { family: Some(Family::V4) }], "{command}");
        assert_eq!(setup.marks, [], "{command}");
    }
    for command in [
        "-t mangle -D PREROUTING -i eth2 -j MARK --set-mark 1",
        "-t mangle -C PREROUTING -i eth2 -j MARK --set-mark 1",
        "-A INPUT -p tcp -j ACCEPT",
        "-P INPUT DROP",
    ] {
        assert_eq!(of_command(command), Setup::default(), "{command}");
    }
}
