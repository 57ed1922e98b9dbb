//! What filters packets on the host: reverse-path filtering, and rules of netfilter.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::connection_marks;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::probe::{self, Question};
use serde_json::Value;

use super::{Explained, TWO, expect_all, to_own, to_shared};

const TCP: Question = Question::Tcp(80);

#[test]
fn a_strict_reverse_path_filter_stops_what_main_would_answer_elsewhere() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_configuration("rp-filter = \"leave\"\n", |prroute| {
        lab.host.sysctl(&["net.ipv4.conf.up2.rp_filter=1"])?;
        let asked = Question::ALL.map(|question| to_shared(2, question, Family::V4));
        expect_all(&lab, prroute, &asked, ("dropped", Some("rp_filter")))?;
        let explained = Explained::of(prroute, &asked[0])?;
        let remedy = "sysctl -w net/ipv4/conf/up2/rp_filter=2";
        ensure!(explained.way["remedy"] == remedy, "{explained:#?}");
        lab.host.sysctl(&["net.ipv4.conf.up2.rp_filter=2"])?;
        expect_all(&lab, prroute, &asked, ("answered", None))
    })
}

/// netfilter sees the interface that routing chose, which is not the one that the reply leaves by.
#[test]
fn a_rule_by_output_interface_stops_a_reply_before_it_is_moved() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.nft(
            "table inet fwx {
                chain o {
                    type filter hook output priority filter;
                    oifname up1 tcp sport 80 drop
                }
            }",
        )?;
        let moved = to_shared(2, TCP, Family::V4);
        expect_all(&lab, prroute, &[moved], ("dropped", Some("netfilter")))?;
        let explained = Explained::of(prroute, &moved)?;
        ensure!(explained.text.contains("sees oif up1"), "{}", explained.text);
        ensure!(explained.text.contains("nft rule inet fwx o handle"), "{}", explained.text);
        let others = [to_own(2, TCP, Family::V4), to_shared(2, Question::Ping, Family::V6)];
        expect_all(&lab, prroute, &others, ("answered", None))
    })
}

#[test]
fn rules_for_what_comes_in_are_followed_through_chains_and_sets() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.nft(
            "table inet filter {
                chain web { ip daddr 10.0.0.0/8 iifname \"up2\" drop; return; }
                chain input {
                    type filter hook input priority filter; policy drop;
                    ct state established,related accept
                    tcp dport { 80, 443 } jump web
                    icmp type echo-request accept
                    meta l4proto ipv6-icmp accept
                    iifname up1 udp dport 50-60 accept
                    tcp dport vmap { 80 : accept, 22 : drop }
                }
            }",
        )?;
        let dropped = [to_own(2, TCP, Family::V4), to_own(2, Question::Udp(53), Family::V4)];
        expect_all(&lab, prroute, &dropped, ("dropped", Some("netfilter")))?;
        let passed = [
            to_own(1, TCP, Family::V4),
            to_own(2, TCP, Family::V6),
            to_own(1, Question::Udp(53), Family::V4),
            to_own(2, Question::Ping, Family::V4),
            to_shared(2, TCP, Family::V4),
        ];
        expect_all(&lab, prroute, &passed, ("answered", None))
    })
}

/// What conntrack passes over is neither new nor established.
#[test]
fn rules_by_state_see_what_conntrack_passes_over() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let input = |state: &str| {
            lab.host.nft(&format!(
                "table inet untracked {{
                    chain raw {{
                        type filter hook prerouting priority raw;
                        udp dport 53 notrack
                    }}
                    chain input {{
                        type filter hook input priority filter; policy drop;
                        meta l4proto ipv6-icmp accept
                        ct state {state} accept
                    }}
                }}"
            ))
        };
        let asked = [to_own(2, Question::Udp(53), Family::V4)];
        input("established,related,untracked")?;
        expect_all(&lab, prroute, &asked, ("answered", None))?;
        lab.host.nft("delete table inet untracked")?;
        input("new,established,related")?;
        expect_all(&lab, prroute, &asked, ("dropped", Some("netfilter")))
    })
}

/// Chains on an interface: behind tc of what comes in, before tc of what leaves.
#[test]
fn rules_on_interfaces_are_followed() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let comes_in = [to_own(2, TCP, Family::V4), to_shared(2, TCP, Family::V6)];
        let others = [
            to_own(1, TCP, Family::V4),
            to_own(2, Question::Udp(53), Family::V4),
            to_shared(1, TCP, Family::V6),
        ];
        let table = |family: &str| {
            lab.host.nft(&format!(
                "table {family} interfaces {{
                    chain arrives {{
                        type filter hook ingress device up2 priority filter;
                        tcp dport 80 drop
                    }}
                }}"
            ))
        };
        for family in ["netdev", "inet"] {
            table(family)?;
            expect_all(&lab, prroute, &comes_in, ("dropped", Some("netfilter")))?;
            let named = format!("nft rule {family} interfaces arrives handle");
            let explained = Explained::of(prroute, &comes_in[0])?;
            ensure!(explained.text.contains(&named), "{}", explained.text);
            expect_all(&lab, prroute, &others, ("answered", None))?;
            lab.host.nft(&format!("delete table {family} interfaces"))?;
        }
        // Of a reply that is moved it is the interface that routing chose.
        lab.host.nft(
            "table netdev interfaces {
                chain leaves {
                    type filter hook egress device up1 priority filter;
                    tcp sport 80 drop
                }
            }",
        )?;
        let leaves = [to_own(1, TCP, Family::V4), to_shared(2, TCP, Family::V4)];
        expect_all(&lab, prroute, &leaves, ("dropped", Some("netfilter")))?;
        expect_all(&lab, prroute, &[to_own(2, TCP, Family::V4)], ("answered", None))
    })
}

#[test]
fn what_is_not_understood_is_said_to_be_unknown() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.nft(
            "table inet filter {
                chain input {
                    type filter hook input priority filter;
                    tcp dport 80 limit rate over 1/second drop
                }
            }",
        )?;
        let explained = Explained::of(prroute, &to_own(2, TCP, Family::V4))?;
        explained.expect("unknown", Some("netfilter"))?;
        let other = Explained::of(prroute, &to_own(2, Question::Udp(53), Family::V4))?;
        other.expect("answered", None)
    })
}

/// Where they leave no one can tell who does not know the marks of connections.
#[test]
fn where_replies_leave_by_marks_it_is_unknown_and_no_fault() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    connection_marks::set_up(&lab, &[Family::V4])?;
    let prroute = lab.prroute()?;
    for question in Question::ALL {
        let probe = to_shared(2, question, Family::V4);
        let explained = Explained::of(&prroute, &probe)?;
        explained.expect("unknown", Some("netfilter"))?;
        let said = explained.text.contains("sets its mark, and routing goes by marks (ip rule ");
        ensure!(said, "{}", explained.text);
        probe::expect_all_answered(&lab.ask(&[probe])?)?;
    }
    // No rule of its family looks at marks.
    let other = Explained::of(&prroute, &to_shared(2, TCP, Family::V6))?;
    ensure!(other.verdict() == "wrong-uplink", "{}", other.text);
    let doctor = prroute.output(&["doctor", "--json"])?.stdout;
    let doctor: Value = serde_json::from_str(&doctor).context(doctor)?;
    let findings = doctor["findings"].as_array().context("no findings")?;
    let told: Vec<_> = findings.iter().filter(|it| it["id"] == "asymmetric:up2").collect();
    ensure!(told.len() == 1 && told[0]["severity"] == "warning", "{told:#?}");
    Ok(())
}

/// A rule by marks that comes before prroute's, and one that nothing depends on.
#[test]
fn a_reply_that_is_marked_before_prroutes_rules_is_not_said_to_be_answered() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_own_source(OwnSource::Rules, |prroute| {
        let asked = [to_own(2, TCP, Family::V4)];
        lab.host.nft(
            "table inet marks {
                chain output { type route hook output priority mangle; tcp sport 80 meta mark set 7; }
            }",
        )?;
        lab.host.ip("link add tunnel type veth peer name tunnel-end")?;
        lab.host.ip("link set tunnel up")?;
        lab.host.ip("link set tunnel-end up")?;
        lab.host.ip("route add default dev tunnel table 777")?;
        lab.host.ip("rule add priority 30000 fwmark 7 lookup 777")?;
        expect_all(&lab, prroute, &asked, ("answered", None))?;
        lab.host.ip("rule add priority 20000 fwmark 7 lookup 777")?;
        let explained = Explained::of(prroute, &asked[0])?;
        explained.expect("unknown", Some("netfilter"))?;
        let outcomes = lab.ask(&asked)?;
        ensure!(!outcomes[0].answered(), "it goes into the tunnel: {}", outcomes[0]);
        let unmarked = [to_own(2, Question::Udp(53), Family::V4)];
        expect_all(&lab, prroute, &unmarked, ("answered", None))
    })
}

/// A chain of one hook marks, one of the next goes by the mark.
#[test]
fn a_mark_is_not_forgotten_between_hooks() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        lab.host.nft(
            "table inet filter {
                chain pre {
                    type filter hook prerouting priority mangle;
                    iifname up2 meta mark set 0x1
                }
                chain in {
                    type filter hook input priority filter; policy drop;
                    meta mark 0x1 accept
                    ct state established accept
                    meta l4proto ipv6-icmp accept
                }
            }",
        )?;
        let marked = to_own(2, TCP, Family::V4);
        Explained::of(prroute, &marked)?.expect("unknown", Some("netfilter"))?;
        probe::expect_all_answered(&lab.ask(&[marked])?)?;
        expect_all(&lab, prroute, &[to_own(1, TCP, Family::V4)], ("dropped", Some("netfilter")))
    })
}

#[test]
fn a_filter_of_iptables_is_read_where_it_is_kept_in_nftables() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 0, ..TWO })?;
    lab.with_prroute(|prroute| {
        for rule in [
            "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A INPUT -i up2 -p tcp -m tcp --dport 80 -j REJECT",
            "-A INPUT -i up2 -p udp -m udp --dport 54 -j DROP",
        ] {
            let words: Vec<&str> = rule.split(' ').collect();
            lab.host.run(&[&["iptables-nft"], words.as_slice()].concat())?;
        }
        let dropped = [to_own(2, TCP, Family::V4)];
        expect_all(&lab, prroute, &dropped, ("dropped", Some("netfilter")))?;
        let passed = [to_own(1, TCP, Family::V4), to_own(2, Question::Udp(53), Family::V4)];
        expect_all(&lab, prroute, &passed, ("answered", None))
    })
}
