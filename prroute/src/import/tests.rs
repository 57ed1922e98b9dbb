//! Whole notations: what administrators have published, in their own words.

mod any_text;
mod extras;
mod unread;
mod waiting;

use std::path::Path;

use super::*;
use crate::config::{Config, UplinkConfig};

fn files(files: &[(Notation, &str, &str)]) -> Setup {
    let owned = |(notation, name, text): &(Notation, &str, &str)| {
        (*notation, (*name).to_owned(), (*text).to_owned())
    };
    read(&files.iter().map(owned).collect::<Vec<_>>())
}

/// What the import says, read as prroute reads it.
fn configuration(import: &Import) -> Config {
    let text = import.configuration();
    let config = Config::parse(Path::new("import"), &text);
    config.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Name or MAC address, gateways, destinations.
fn uplinks(config: &Config) -> Vec<(String, Vec<String>, Vec<String>)> {
    let texts = |all: &[String]| all.to_vec();
    let of = |uplink: &UplinkConfig| {
        let gateways: Vec<_> = uplink.gateways.iter().map(ToString::to_string).collect();
        let to: Vec<_> = uplink.to.iter().map(ToString::to_string).collect();
        (uplink.selector.to_string(), texts(&gateways), texts(&to))
    };
    config.uplinks.iter().map(of).collect()
}

fn uplink(name: &str, gateways: &[&str], to: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let texts = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect();
    (name.to_owned(), texts(gateways), texts(to))
}

fn removal(import: &Import) -> Vec<String> {
    let script = import.removal(&"default".parse().unwrap(), &[]);
    let commands = script.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    commands.map(str::to_owned).collect()
}

/// An article on two networks, with tables that have names; the author's slip is in its last route.
const TWO_NETWORKS: &str = "\
# Add the network associations to the table
sudo ip route add 10.255.254.0/24 dev eth0 table admin
sudo ip route add 10.255.72.0/22 dev eth1 table users
sudo ip route add default via 10.255.254.1 dev eth0 table admin
sudo ip route add default via 10.255.72.1 dev eth 1 table users
sudo ip rule add from 10.255.254.45 lookup admin
sudo ip rule add from all iif eth0 lookup admin
sudo ip rule add from 10.255.72.230 lookup users
sudo ip rule add from all iif eth1 lookup users
";

#[test]
fn tables_of_two_networks_that_were_typed_in() {
    let setup = files(&[(Notation::Script, "article", TWO_NETWORKS)]);
    let unread: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
    assert_eq!(unread, ["article:5: `1` is not understood"]);
    let import = translate(&setup);
    assert_eq!(uplinks(&configuration(&import)), [uplink("eth0", &["10.255.254.1"], &[])]);
    let kept: Vec<_> =
        import.kept.iter().map(|kept| format!("{}: {}", kept.what, kept.why)).collect();
    assert_eq!(
        kept,
        [
            "ip rule from 10.255.72.230/32 lookup users: a route of table users was not read: article:5",
            "ip rule from all iif eth1 lookup users: a route of table users was not read: article:5",
        ]
    );

    let right = TWO_NETWORKS.replace("eth 1", "eth1");
    let import = translate(&files(&[(Notation::Script, "article", &right)]));
    assert_eq!(
        uplinks(&configuration(&import)),
        [uplink("eth0", &["10.255.254.1"], &[]), uplink("eth1", &["10.255.72.1"], &[])]
    );
    assert_eq!((import.kept.len(), import.notes.len()), (0, 2));
    assert_eq!(
        removal(&import),
        [
            "set -e",
            "prroute wait --timeout 60s",
            "prroute reload > /dev/null",
            "prroute check --offline --in-force - > /dev/null << 'CONFIGURATION'",
            "[[uplink]]",
            "name = \"eth0\"",
            "gateway = [\"10.255.254.1\"]",
            "[[uplink]]",
            "name = \"eth1\"",
            "gateway = [\"10.255.72.1\"]",
            "CONFIGURATION",
            "ip rule add priority 32765 from 10.255.254.45/32 to 0.0.0.0/1 lookup admin",
            "ip rule add priority 32765 from 10.255.254.45/32 to 128.0.0.0/1 lookup admin",
            "ip rule del from 10.255.254.45/32 lookup admin",
            "ip rule add priority 32765 from 10.255.72.230/32 to 0.0.0.0/1 lookup users",
            "ip rule add priority 32765 from 10.255.72.230/32 to 128.0.0.0/1 lookup users",
            "ip rule del from 10.255.72.230/32 lookup users",
            "prroute reload > /dev/null",
            "prroute wait --timeout 60s",
            "ip rule del priority 32765 from 10.255.254.45/32 to 0.0.0.0/1 lookup admin",
            "ip rule del priority 32765 from 10.255.254.45/32 to 128.0.0.0/1 lookup admin",
            "ip rule del priority 32765 from 10.255.72.230/32 to 0.0.0.0/1 lookup users",
            "ip rule del priority 32765 from 10.255.72.230/32 to 128.0.0.0/1 lookup users",
            "ip rule del from all iif eth0 lookup admin",
            "ip rule del from all iif eth1 lookup users",
            "ip route flush table admin",
            "ip route flush table users",
        ]
    );
}

/// An article on containers that answer on the second interface: three files.
#[test]
fn marks_for_containers_in_three_files() {
    let saved = "\
*mangle
-A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A PREROUTING -i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL -j CONNMARK --set-xmark 0x1/0xffffffff
-A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
";
    let mut setup = files(&[
        (Notation::Ifcfg, "/n/rule-eth1", "fwmark 0x1 table eth1\n"),
        (Notation::Ifcfg, "/n/route-eth1", "0.0.0.0/0 via 10.0.1.1 table eth1\n"),
        (Notation::IptablesSave, "/etc/sysconfig/iptables", saved),
    ]);
    setup.resolve(&table_names("255 local\n#1 inr.ruhep\n100 eth1\n"));
    assert_eq!(setup.unread, []);
    let import = translate(&setup);
    assert_eq!(uplinks(&configuration(&import)), [uplink("eth1", &["10.0.1.1"], &[])]);
    assert_eq!(import.kept, []);
    let removal = removal(&import);
    let at = |begin: &str| removal.iter().position(|line| line.starts_with(begin)).unwrap();
    let set = at("iptables -t mangle -D PREROUTING -i eth1 ");
    let waits = at("while connections | ");
    let rule = at("ip rule del from all fwmark 0x1 lookup 100");
    let restore = at("iptables -t mangle -D PREROUTING -m conntrack ");
    let table = at("ip route flush table 100");
    assert!(set < waits && waits < rule && rule < restore && restore < table, "{removal:#?}");
    assert!(removal[waits].contains("'mark=(1)'"), "{}", removal[waits]);
    let files = import.removal(&"default".parse().unwrap(), &[]);
    assert!(
        files.contains("\n# * /etc/sysconfig/iptables: what begins in line 2, 3, 4\n"),
        "{files}"
    );
}

/// The removal empties the table, which may be the only one that leads over the interface.
#[test]
fn a_gateway_of_an_ifcfg_file_is_named_whoever_has_the_default_route() {
    for more in ["", "DEFROUTE=no\n", "DEFROUTE=\"No\"\n", "DEFROUTE=yes\n"] {
        let interface = format!("IPADDR=10.0.1.5\nPREFIX=24\nGATEWAY=10.0.1.1\n{more}");
        let import = translate(&files(&[
            (Notation::Ifcfg, "/n/ifcfg-eth1", &interface),
            (Notation::Ifcfg, "/n/route-eth1", "default via 10.0.1.1 dev eth1 table 101\n"),
            (Notation::Ifcfg, "/n/rule-eth1", "from 10.0.1.5 table 101\n"),
        ]));
        let expected = [uplink("eth1", &["10.0.1.1"], &[])];
        assert_eq!(uplinks(&configuration(&import)), expected, "{more}");
        assert_eq!((import.kept, import.unread), (vec![], vec![]));
    }
}

/// A network like a cloud's, as an administrator lists it.
#[test]
fn a_table_for_the_second_interface_as_it_is_listed() {
    let listing = "\
admin@ip-10-0-0-129:~$ ip -4 ro
default via 10.0.0.1 dev ens5
default via 10.0.0.1 dev ens6 metric 3
10.0.0.0/24 dev ens5 proto kernel scope link src 10.0.0.129
admin@ip-10-0-0-129:~$ ip -4 rule
0: from all lookup local
10003: from 10.0.0.204 lookup 10003
32766: from all lookup main
admin@ip-10-0-0-129:~$ ip -4 ro sh table 10003
default via 10.0.0.1 dev ens6 src 10.0.0.204
10.0.0.0/24 dev ens6 scope link src 10.0.0.204
admin@ip-10-0-0-129:~$ ip -6 rule
0: from all lookup local
10003: from 2600:1f14:eeb:2203:ac24:6708:2ab9:75a3 lookup 10003
admin@ip-10-0-0-129:~$ ip -6 ro sh table 10003
default via fe80::8f:53ff:fe6f:64ef dev ens6 metric 1024 pref medium
";
    let setup = files(&[(Notation::Script, "listing", listing)]);
    assert_eq!(setup.unread, []);
    let import = translate(&setup);
    // Main has the gateway of IPv4.
    let expected = [uplink("ens6", &["fe80::8f:53ff:fe6f:64ef"], &[])];
    assert_eq!(uplinks(&configuration(&import)), expected);
    assert_eq!(import.kept, []);
    let removal = removal(&import);
    let source = "from 2600:1f14:eeb:2203:ac24:6708:2ab9:75a3/128";
    for line in [
        format!("ip -6 rule add priority 10003 {source} to ::/1 lookup 10003"),
        format!("ip -6 rule add priority 10003 {source} to 8000::/1 lookup 10003"),
        format!("ip -6 rule del priority 10003 {source} lookup 10003"),
        "ip -6 route flush table 10003".to_owned(),
    ] {
        assert!(removal.contains(&line), "{line}: {removal:#?}");
    }
}

/// A host in a public and a private subnet: what a tool has written, and what is laid over it.
#[test]
fn public_and_private_tables_with_chosen_destinations() {
    let first = "\
network:
  ethernets:
    ens5:
      addresses:
      - 10.224.184.51/26
      match:
        macaddress: 0a:93:1b:88:fa:fb
      routes:
      - table: 10
        to: 0.0.0.0/0
        via: 10.224.184.1
      - scope: link
        table: 10
        to: 10.224.184.0/26
        via: 0.0.0.0
      routing-policy:
      - from: 10.224.184.51
        table: 10
      set-name: private
    ens6:
      addresses:
      - 10.224.186.43/26
      match:
        macaddress: 0a:c9:4e:3c:89:65
      routes:
      - to: 0.0.0.0/0
        via: 10.224.186.1
      - table: 20
        to: 0.0.0.0/0
        via: 10.224.186.1
      - scope: link
        table: 20
        to: 10.224.186.0/26
        via: 0.0.0.0
      routing-policy:
      - from: 10.224.186.43
        table: 20
      set-name: public
  version: 2
";
    let second = "\
---
network:
  ethernets:
    ens5:
      routing-policy:
      - to: 192.0.2.14
        table: 10
      - to: 198.51.100.42
        table: 10
      - to: 203.0.113.22
        table: 10
";
    let setup =
        files(&[(Notation::Netplan, "55.yaml", first), (Notation::Netplan, "60.yaml", second)]);
    assert_eq!(setup.unread, []);
    let import = translate(&setup);
    let to = ["192.0.2.14/32", "198.51.100.42/32", "203.0.113.22/32"];
    assert_eq!(
        uplinks(&configuration(&import)),
        [uplink("private", &["10.224.184.1"], &to), uplink("public", &[], &[])]
    );
    assert_eq!((import.kept.len(), import.notes.len()), (0, 0));
}

#[test]
fn files_are_known_by_their_names_or_by_what_is_in_them() {
    for (path, notation) in [
        ("/etc/netplan/50-cloud-init.yaml", Some(Notation::Netplan)),
        ("/etc/sysconfig/network-scripts/rule6-eth1", Some(Notation::Ifcfg)),
        ("/etc/systemd/network/10-eth1.network", Some(Notation::Networkd)),
        ("/etc/systemd/network/10-eth1.network.d/to.conf", Some(Notation::Networkd)),
        ("/etc/NetworkManager/system-connections/a.nmconnection", Some(Notation::Networkd)),
        ("/etc/systemd/networkd.conf", None),
        ("/etc/sysconfig/iptables", None),
    ] {
        assert_eq!(notation_of_name(Path::new(path)), notation, "{path}");
    }
    for (text, notation) in [
        ("# saved\n\n*mangle\n:PREROUTING ACCEPT\n", Notation::IptablesSave),
        ("network:\n  version: 2\n", Notation::Netplan),
        ("[Match]\nName=eth1\n", Notation::Networkd),
        ("#!/bin/sh\nip rule add from 10.0.0.1 lookup 7\n", Notation::Script),
    ] {
        assert_eq!(notation_of_text(text), notation, "{text}");
    }
}

#[test]
fn what_is_printed_is_no_command_of_who_wrote_the_file() {
    let text = "*mangle\n-A PREROUTING -i eth1 -m comment --comment \"$(reboot) '; reboot\" -j CONNMARK --set-mark 1\n";
    let script =
        "ip rule add fwmark 1 lookup 7\nip route add default via 10.0.1.1 dev eth1 table 7\n";
    let setup =
        files(&[(Notation::IptablesSave, "a", text), (Notation::Script, "s\n[[uplink]]", script)]);
    let import = translate(&setup);
    let removal = removal(&import);
    let expected = "--comment '$(reboot) '\\''; reboot' -j";
    assert!(removal.iter().any(|line| line.contains(expected)), "{removal:#?}");
    assert_eq!(configuration(&import).uplinks.len(), 1);
}
