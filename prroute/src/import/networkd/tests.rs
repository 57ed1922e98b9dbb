use super::*;

fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_file_and_its_drop_in_are_about_one_interface() {
    let setup = read(&files(&[
        (
            "/n/10-eth1.network",
            "[Match]\nName=eth1\n\n[Network]\nAddress=10.0.1.2/24\nGateway=10.0.1.1\n\n\
             [Route]\nGateway=10.0.1.1\nTable=101\n\n\
             [RoutingPolicyRule]\nFrom=10.0.1.2\nTable=101\nPriority=5\n",
        ),
        (
            "/n/10-eth1.network.d/to.conf",
            "[Route]\nDestination=10.9.0.0/16\nTable=101\nScope=link\n\
             [RoutingPolicyRule]\nFirewallMark=1\nFamily=both\nTable=101\n",
        ),
    ]));
    assert_eq!(setup.unread, []);
    let rules: Vec<_> = setup.rules.iter().map(|rule| format!("{} {rule}", rule.place)).collect();
    assert_eq!(
        rules,
        [
            "/n/10-eth1.network:12 priority 5 from 10.0.1.2/32 lookup 101",
            "/n/10-eth1.network.d/to.conf:5 from all fwmark 0x1 lookup 101",
            "/n/10-eth1.network.d/to.conf:5 from all fwmark 0x1 lookup 101",
        ]
    );
    let routes: Vec<_> = setup.routes.iter().map(ToString::to_string).collect();
    assert_eq!(
        routes,
        ["default via 10.0.1.1 dev eth1", "default via 10.0.1.1 dev eth1", "10.9.0.0/16 dev eth1"]
    );
    assert_eq!(setup.addresses.len(), 1);
}

#[test]
fn what_is_not_understood_is_told_with_its_line() {
    let said: Vec<_> = read(&files(&[(
        "x.network",
        "Name=eth1\n[Match]\nName=eth1\n[RoutingPolicyRule]\nFrom=x\n[Route]\nGateway=_dhcp4\n\
         [DHCPv4]\nRouteTable=7\n",
    )]))
    .unread
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(said[0], "x.network:1: neither a section nor `KEY=VALUE`");
    assert_eq!(said[1], "x.network:5: `From=x` is not understood");
    assert!(said[2].starts_with("x.network:7: `Gateway=_dhcp4`: "), "{said:?}");
    assert!(said[3].starts_with("x.network:9: routes that come by DHCP"), "{said:?}");
}

#[test]
fn a_file_about_interfaces_that_only_the_host_knows_makes_no_table_of_another() {
    for (matches, device) in [
        ("Name=eth1 eth2", None),
        ("Name=!eth1", None),
        ("Driver=virtio_net", None),
        ("Name=en*\nDriver=virtio_net", None),
        ("Name=en*\nType=ether", Some("en*")),
        ("Name=en*\nPermanentMACAddress=02:00:00:00:00:01", Some("02:00:00:00:00:01")),
    ] {
        let text = format!(
            "[Match]\n{matches}\n[Network]\nAddress=10.0.1.2/24\n[Route]\nGateway=10.0.1.1\nTable=7\n"
        );
        let setup = read(&files(&[("x.network", &text)]));
        let routes: Vec<_> = setup.routes.iter().map(ToString::to_string).collect();
        let known = device.map(|name| format!("default via 10.0.1.1 dev {name}"));
        assert_eq!(routes, known.into_iter().collect::<Vec<_>>(), "{matches}");
        assert_eq!(setup.unread.len(), usize::from(device.is_none()), "{matches}");
    }
}

#[test]
fn booleans_are_known_in_capitals_too() {
    let read = |line: &str| {
        let text =
            format!("[Match]\nName=eth1\n[RoutingPolicyRule]\nFrom=10.0.1.2\nTable=101\n{line}\n");
        read(&files(&[("x.network", &text)]))
    };
    for yes in ["yes", "True", "Yes", "ON", "1", "y", "T"] {
        let setup = read(&format!("InvertRule={yes}"));
        assert!(setup.rules[0].invert, "{yes}");
        let setup = read(&format!("L3MasterDevice={yes}"));
        assert_eq!(setup.rules[0].other, ["l3mdev"], "{yes}");
    }
    for no in ["no", "False", "No", "OFF", "0", "n", "F"] {
        for key in ["InvertRule", "L3MasterDevice"] {
            let setup = read(&format!("{key}={no}"));
            assert_eq!(setup.rules[0].to_string(), "from 10.0.1.2/32 lookup 101", "{key}={no}");
        }
    }
    for odd in ["2", "ja", ""] {
        for key in ["InvertRule", "L3MasterDevice"] {
            let setup = read(&format!("{key}={odd}"));
            assert_eq!(setup.rules, [], "{key}={odd}");
            let unread: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
            assert_eq!(unread, [format!("x.network:6: `{key}={odd}` is not understood")]);
        }
    }
}
