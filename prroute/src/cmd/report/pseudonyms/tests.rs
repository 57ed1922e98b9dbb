use proptest::prelude::*;

use super::*;

fn replaced(text: &str) -> String {
    Pseudonyms::default().replace(text)
}

#[test]
fn every_notation_is_found_and_what_is_around_stays() {
    for (text, expected) in [
        ("10.0.1.10", "ipv4-1"),
        ("inet 10.0.1.10/24 brd 10.0.1.255 scope", "inet ipv4-1/24 brd ipv4-2 scope"),
        ("via 2001:db8::1 dev eth0.7", "via ipv6-1 dev eth0.7"),
        ("2001:0DB8:0:0:0:0:0:1/64", "ipv6-1/64"),
        ("::ffff:10.0.1.10", "::ffff:ipv4-1"),
        ("::ffff:a00:10a", "::ffff:ipv4-1"),
        ("fe80::5054:ff:fe12:3456%eth0", "ipv6-link-local-1%eth0"),
        ("[fe80::1%2]:443", "[ipv6-link-local-1%2]:443"),
        ("tcp 10.0.1.10:80 [2001:db8::1]:443 inbound", "tcp ipv4-1:80 [ipv6-1]:443 inbound"),
        ("IP 10.0.1.10.80 > 2001:db8::1.443:", "IP ipv4-1.80 > ipv6-1.443:"),
        (
            "{\"local\":\"10.0.1.10\",\"to\":[\"2001:db8::/32\"]}",
            "{\"local\":\"ipv4-1\",\"to\":[\"ipv6-1/32\"]}",
        ),
        ("link/ether 02:00:5E:10:00:01 brd", "link/ether mac-1 brd"),
        ("mac = \"02-00-5e-10-00-01\"", "mac = \"mac-1\""),
        ("8000.02:00:5e:10:00:01", "8000.mac-1"),
        (
            "link/ether 02:42:ac:11:00:02 bridge_id 8000.2:42:ac:11:0:2 designated_root \
             8000.2:42:AC:11:0:3",
            "link/ether mac-1 bridge_id 8000.mac-1 designated_root 8000.mac-2",
        ),
        (
            "link/ether 02:42:ac:11:00:02 portname p0 switchid 0242ac110002 portid 0242ac110003 x",
            "link/ether mac-1 portname p0 switchid mac-1 portid mac-2 x",
        ),
        ("2001:db8:1:2:3:4:5:6 1:2:3:4:5:6:7:8 1:2:3:4:5:6::", "ipv6-1 ipv6-2 ipv6-3"),
        ("12:34:56 1:2:3:4:5", "12:34:56 1:2:3:4:5"),
        (
            "a gateway 10.0.1.1: silent. Another, 10.0.1.2.",
            "a gateway ipv4-1: silent. Another, ipv4-2.",
        ),
        ("gateway fe80::1: silent", "gateway ipv6-link-local-1: silent"),
        ("src=10.0.1.10,dst10.0.1.11", "src=ipv4-1,dstipv4-2"),
        ("addr:10.0.1.10 mac:aa:bb:cc:dd:ee:0f", "addr:ipv4-1 mac:mac-1"),
        ("10.0.1.10-10.0.1.20", "ipv4-1-ipv4-2"),
        ("10.0.1.10/255.255.255.0", "ipv4-1/255.255.255.0"),
        ("ip-10-0-1-10.internal", "ip-ipv4-1.internal"),
        ("gateway-silent:eth1:10.0.1.1", "gateway-silent:eth1:ipv4-1"),
        ("a gateway-silent:eth1:fe80::1", "a gateway-silent:eth1:ipv6-link-local-1"),
        ("site-10.0.1.10.toml", "site-ipv4-1.toml"),
        ("wän 10.0.1.10 \u{fffd}", "wän ipv4-1 \u{fffd}"),
    ] {
        assert_eq!(replaced(text), expected);
    }
}

#[test]
fn the_same_address_has_the_same_pseudonym_however_it_is_written() {
    let mut pseudonyms = Pseudonyms::default();
    let first = pseudonyms.replace("10.0.1.10 2001:db8::1 02:00:5e:10:00:01 10.0.1.1");
    assert_eq!(first, "ipv4-1 ipv6-1 mac-1 ipv4-2");
    let again = "::ffff:10.0.1.10 2001:DB8:0::1 02-00-5E-10-00-01 10.0.1.1/32";
    assert_eq!(pseudonyms.replace(again), "::ffff:ipv4-1 ipv6-1 mac-1 ipv4-2/32");
}

#[test]
fn what_is_the_same_everywhere_stays() {
    for text in [
        "127.0.0.1:53 [::1]:53 0.0.0.0/0 ::/0 0.0.0.0/1 128.0.0.0/1 8000::/1",
        "255.255.255.0 255.255.255.255 ffff:ffff:ffff::",
        "fe80::/64 fe80::/10 ff00::/8 ff02::1 ff02::2 169.254.0.0/16 224.0.0.0/4 224.0.0.251",
        "2000::/3 fc00::/7 10.0.0.0/8 192.168.0.0/16 169.254.169.254",
        "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff ::ffff:127.0.0.1",
    ] {
        assert_eq!(replaced(text), text);
    }
    // These are made of a host's address.
    assert_eq!(replaced("ff02::1:ff12:3456 33:33:ff:12:34:56"), "ipv6-1 mac-1");
    assert_eq!(replaced("10.0.0.0/24 192.168.0.0"), "ipv4-1/24 ipv4-2");
}

#[test]
fn names_times_and_numbers_are_no_addresses() {
    for text in [
        "prroute::cmd::report std::fmt eth0:1 eth0.100 veth1a2b@if7 up:down",
        "2026-11-29T00:04:32.123456+0000 03:53:01 12:34",
        "prroute 0.1.0 linux 6.12.48+deb13-amd64 tag a04f5eef06a7f555 id 7",
        "fwmark 0x1/0xff lookup 21001 pref 21000 mtu 1500 0.0 1.5 -> 50%",
        "net:[4026531840] 4026531840-1 b1f2a9d4-0000-4000-8000-000000000001",
    ] {
        assert_eq!(replaced(text), text);
    }
}

#[test]
fn which_addresses_share_a_prefix_is_still_told() {
    let mut pseudonyms = Pseudonyms::default();
    pseudonyms.replace("10.0.1.10/24 via 10.0.1.1; 10.0.2.10/24; 2001:db8:1::/64 2001:db8:1::10");
    assert_eq!(pseudonyms.neighbours(), "in one /24: ipv4-1 ipv4-2\nin one /64: ipv6-1 ipv6-2\n");
}

/// Every separator that stands around addresses in what prroute and other programs print.
fn around() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "", " ", "\"", "[", "]", "(", ")", ",", "=", "/", "%", "@", "\n", ":", ";", "é",
    ])
}

proptest! {
    #[test]
    fn no_address_is_left(
        address in any::<[u8; 16]>(), is_v4 in any::<bool>(), before in around(), behind in around(),
    ) {
        let address = match (is_v4, address) {
            (true, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
            (false, all) => IpAddr::from(all),
        };
        prop_assume!(!is_well_known(address, None));
        let text = replaced(&format!("x {before}{address}{behind} y"));
        prop_assert!(!text.contains(&address.to_string()), "{}", text);
    }

    #[test]
    fn any_text_is_taken(text in "[0-9a-f:./%é-]{0,80}") {
        let once = replaced(&text);
        prop_assert!(once.chars().filter(|c| *c == 'é').count() == text.chars().filter(|c| *c == 'é').count());
    }
}
