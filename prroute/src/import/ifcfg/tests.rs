use super::*;

#[test]
fn names_say_what_a_file_is_about() {
    assert_eq!(part("rule6-eth1"), Some((Part::Rules(Family::V6), "eth1")));
    assert_eq!(part("route-br-lan"), Some((Part::Routes(Family::V4), "br-lan")));
    for other in ["ifup-eth", "rule-eth1.rpmsave", "route-", "network", "keys-eth0"] {
        assert_eq!(part(other), None, "{other}");
    }
}

#[test]
fn rules_and_routes_are_what_ip_takes() {
    let rules = read("rule-eth1", Part::Rules(Family::V4), "eth1", "fwmark 0x1 table eth1\n");
    assert_eq!(rules.rules[0].to_string(), "from all fwmark 0x1 lookup eth1");
    let text = "0.0.0.0/0 via 10.0.1.1 table eth1\n";
    let routes = read("route-eth1", Part::Routes(Family::V4), "eth1", text);
    assert_eq!(routes.routes[0].to_string(), "default via 10.0.1.1 dev eth1");
    assert_eq!((rules.unread, routes.unread), (vec![], vec![]));
}

#[test]
fn the_older_form_is_read_too() {
    let text = "ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.1.1\nADDRESS1=10.8.0.0\n";
    let setup = read("route-eth1", Part::Routes(Family::V4), "eth1", text);
    assert_eq!(setup.routes[0].to_string(), "10.9.0.0/16 via 10.0.1.1 dev eth1");
    assert_eq!(setup.unread[0].to_string(), "route-eth1:4: `ADDRESS1=10.8.0.0` has no NETMASK1");
}

#[test]
fn an_interface_has_addresses_and_main_no_gateway_for_sure() {
    let text = "DEVICE=\"eth1\"\nBOOTPROTO=none\nIPADDR=10.0.1.2\nPREFIX=24\nGATEWAY=10.0.1.1\n\
                IPADDR2=10.0.2.2\nNETMASK2=255.255.255.0\n";
    let setup = read("ifcfg-x", Part::Interface, "x", text);
    let nets: Vec<_> = setup.addresses.iter().map(|(_, net)| net.to_string()).collect();
    assert_eq!(nets, ["10.0.1.2/24", "10.0.2.2/24"]);
    assert_eq!((setup.routes, setup.unread), (vec![], vec![]));
}

fn addresses(file: &str, text: &str) -> Vec<String> {
    let (part, device) = part(file).unwrap();
    let setup = read(file, part, device, text);
    assert_eq!(setup.unread, [], "{text}");
    setup.addresses.iter().map(|(device, net)| format!("{device} {net}")).collect()
}

#[test]
fn addresses_of_aliases_are_the_interfaces() {
    let more = "IPADDR=10.0.1.3\nPREFIX=24\n";
    assert_eq!(addresses("ifcfg-eth1:1", &format!("DEVICE=eth1:1\n{more}")), ["eth1 10.0.1.3/24"]);
    assert_eq!(addresses("ifcfg-eth1.5:vip", more), ["eth1.5 10.0.1.3/24"]);
    assert_eq!(part("rule-eth1:1"), Some((Part::Rules(Family::V4), "eth1")));
    assert_eq!((part("ifcfg-:1"), part("ifcfg-eth1:1.bak")), (None, None));
    let range = "IPADDR_START=10.0.1.8\nIPADDR_END=10.0.1.10\nNETMASK=255.255.255.0\n";
    assert_eq!(
        addresses("ifcfg-eth1-range0", range),
        ["eth1 10.0.1.8/24", "eth1 10.0.1.9/24", "eth1 10.0.1.10/24"]
    );
    assert_eq!(addresses("ifcfg-br-range", more), ["br-range 10.0.1.3/24"]);
}

#[test]
fn a_range_that_is_none_is_not_passed_over() {
    for (start, end) in [("10.0.1.9", "10.0.1.3"), ("10.0.0.250", "10.0.1.5")] {
        let text = format!("IPADDR_START={start}\nIPADDR_END={end}\nPREFIX=24\n");
        let (part, device) = part("ifcfg-eth1-range0").unwrap();
        let setup = read("ifcfg-eth1-range0", part, device, &text);
        assert_eq!((setup.addresses.len(), setup.unread.len()), (0, 1), "{text}");
    }
}

#[test]
fn further_addresses_of_ipv6_are_read() {
    let text =
        "IPV6ADDR=2001:db8::2/64\nIPV6ADDR_SECONDARIES=\"2001:db8::3/64 2001:db8:1::3/64\"\n";
    assert_eq!(
        addresses("ifcfg-eth1", text),
        ["eth1 2001:db8::2/64", "eth1 2001:db8::3/64", "eth1 2001:db8:1::3/64"]
    );
}

#[test]
fn rules_and_a_table_of_network_manager_are_read() {
    let text = "DEVICE=eth1\nROUTING_RULE_0=\"priority 5 from 10.7.0.9 table 200\"\n\
                ROUTING_RULE_1='priority 6 fwmark 0x1 table 200'\n\
                ROUTING_RULE6_0=\"priority 7 from ::/0 iif eth1 table 200\"\n\
                ROUTING_RULE6_1=\"priority 8 from 2001:db8::9 tabel 201\"\n\
                IPV4_ROUTE_TABLE=200\nIPV6_ROUTE_TABLE=254\n";
    let setup = read("ifcfg-eth1", Part::Interface, "eth1", text);
    let rules: Vec<_> =
        setup.rules.iter().map(|rule| format!("{:?} {rule}", rule.family)).collect();
    assert_eq!(
        rules,
        [
            "V6 priority 7 from all iif eth1 lookup 200",
            "V4 priority 5 from 10.7.0.9/32 lookup 200",
            "V4 priority 6 from all fwmark 0x1 lookup 200",
        ]
    );
    let unread: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
    assert_eq!(
        unread,
        [
            "ifcfg-eth1:6: NetworkManager puts the connection's routes into table 200, those that \
             come by DHCP too: import the running host instead",
            "ifcfg-eth1:5: `tabel` is not understood",
        ]
    );
}

#[test]
fn what_is_not_understood_is_told_with_its_line() {
    let setup =
        read("rule-eth1", Part::Rules(Family::V4), "eth1", "\nfwmark 0x1 tabel eth1\nA=1\n");
    let said: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "rule-eth1:2: `tabel` is not understood",
            "rule-eth1:3: this is no rule as `ip rule` takes it"
        ]
    );
}
