//! Whatever a file has in it: nothing panics.

use std::path::Path;

use proptest::prelude::*;

use super::files;
use crate::config::Config;
use crate::import::{Notation, translate};

fn every_notation() -> [Notation; 5] {
    use Notation::{Ifcfg, IptablesSave, Netplan, Networkd, Script};
    [IptablesSave, Ifcfg, Netplan, Networkd, Script]
}

/// Whatever is read: nothing panics, and what comes out is a valid configuration.
fn is_bearable(text: &str) {
    for notation in every_notation() {
        for name in ["x", "route-eth1", "ifcfg-eth1", "a.network.d/b.conf"] {
            let setup = files(&[(notation, name, text)]);
            let import = translate(&setup);
            let script = import.removal(&"default".parse().unwrap(), &["a"]);
            assert!(!script.is_empty());
            if !import.is_empty() {
                // Only names may be such that no interface can have them.
                drop(Config::parse(Path::new("import"), &import.configuration()));
            }
        }
    }
}

/// Words that these notations are made of, put together as it comes.
fn words() -> impl Strategy<Value = String> {
    let words = [
        "ip",
        "-6",
        "rule",
        "route",
        "add",
        "show",
        "from",
        "to",
        "all",
        "default",
        "10.0.0.1",
        "10.0.0.0/24",
        "2001:db8::1",
        "fe80::/64",
        "lookup",
        "table",
        "7",
        "main",
        "via",
        "dev",
        "eth1",
        "fwmark",
        "0x1",
        "iif",
        "metric",
        "mtu",
        "lock",
        "src",
        "nexthop",
        "not",
        "suppress_prefixlength",
        "0",
        "\n",
        "\n",
        "\\\n",
        ";",
        "&&",
        "#",
        "'",
        "\"",
        "$x",
        "*mangle\n",
        "-A PREROUTING",
        "-i",
        "-j CONNMARK --set-mark",
        "-j",
        "!",
        "COMMIT\n",
        "[Match]\nName=eth1\n",
        "[Route]\n",
        "[connection]\n",
        "[VRF]\n",
        "MTUBytes=",
        "PreferredSource=",
        "[RoutingPolicyRule]\n",
        "ROUTING_RULE_0=\"from 10.0.0.1 table 7\"\n",
        "IPV4_ROUTE_TABLE=7\n",
        "Table=7\n",
        "From=10.0.0.1\n",
        "Gateway=10.0.0.2\n",
        "Type=",
        "network:\n",
        "  ethernets:\n",
        "    e:\n",
        "      match: {driver: a}\n",
        "      routes:\n",
        "      - to: ",
        "        via: ",
        "      routing-policy:\n",
        "      - from: ",
        "        table: ",
        "ADDRESS0=",
        "NETMASK0=",
        "IPADDR=10.0.0.1\n",
        "*",
        "&a ",
        "*a",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\t",
        "7:",
    ];
    let word = proptest::sample::select(words.to_vec());
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        is_bearable(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_are_borne(text in words()) {
        is_bearable(&text);
    }
}
