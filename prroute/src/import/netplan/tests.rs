use super::*;

/// What a tool has written for a host in two subnets, and what another adds to it.
const FIRST: &str = "\
network:
  version: 2
  ethernets:
    ens5:
      addresses:
      - 10.224.184.51/26
      dhcp4: false
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
";
const SECOND: &str = "\
network:
  ethernets:
    ens5:
      routing-policy:
      - to: 192.0.2.14
        table: 10
";

fn files(texts: &[&str]) -> Vec<(String, String)> {
    let names = ["a.yaml", "b.yaml"].map(str::to_owned);
    names.into_iter().zip(texts.iter().map(|&text| text.to_owned())).collect()
}

#[test]
fn files_go_on_with_each_other() {
    let setup = read(&files(&[FIRST, SECOND]));
    assert_eq!(setup.unread, []);
    let rules: Vec<_> = setup.rules.iter().map(|rule| format!("{} {rule}", rule.place)).collect();
    assert_eq!(
        rules,
        [
            "a.yaml:19 from 10.224.184.51/32 lookup 10",
            "b.yaml:5 from all to 192.0.2.14/32 lookup 10"
        ]
    );
    let routes: Vec<_> = setup.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["default via 10.224.184.1 dev private", "10.224.184.0/26 dev private"]);
    assert_eq!(setup.addresses.len(), 1);
}

#[test]
fn an_interface_without_a_name_is_known_by_its_mac_address() {
    let text = "network:\n  ethernets:\n    nic:\n      match: {macaddress: '02:00:00:00:00:01'}\n      gateway6: fe80::1\n";
    let setup = read(&files(&[text]));
    assert_eq!(setup.routes[0].to_string(), "default via fe80::1 dev 02:00:00:00:00:01");
    assert_eq!(setup.routes[0].family(), Family::V6);
}

#[test]
fn what_is_not_understood_is_told_with_its_line() {
    let text = "network:\n  ethernets:\n    a:\n      routing-policy:\n      - from: 10.0.0.1\n        tabel: 5\n  vrfs:\n    v: {table: 7}\n";
    let said: Vec<_> = read(&files(&[text])).unread.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said.contains(&"a.yaml:5: routing-policy: `tabel: 5` is not understood".to_owned()),
        "{said:?}"
    );
    let said = read(&files(&["network: [\n"])).unread;
    assert!(said[0].why.starts_with("not valid YAML"), "{said:?}");
}

#[test]
fn an_interface_that_only_the_host_knows_is_not_taken_for_its_id() {
    let more = "      addresses: [10.0.1.2/24]
      routes:
      - {to: default, via: 10.0.1.1, table: 7}
      - {to: default, via: 10.0.1.1}
      - {to: default, type: unreachable, metric: 9, table: 7}
";
    for (kind, matches, device) in [
        ("ethernets", "{driver: virtio_net}", None),
        ("ethernets", "{}", None),
        ("ethernets", "{name: 'en*', driver: [a, b]}", None),
        ("ethernets", "{name: 'en[12]'}", None),
        ("ethernets", "{name: 'en*'}", Some("en*")),
        ("ethernets", "{name: eth1, driver: virtio_net}", Some("eth1")),
        ("ethernets", "{name: 'en*', macaddress: '02:00:00:00:00:01'}", Some("02:00:00:00:00:01")),
        ("ethernets", "{driver: virtio_net}\n      set-name: up", Some("up")),
        ("nm-devices", "{}", None),
    ] {
        let text = format!("network:\n  {kind}:\n    nic:\n      match: {matches}\n{more}");
        let setup = read(&files(&[&text]));
        let known = device.map(|name| format!("default via 10.0.1.1 dev {name}"));
        let routes: Vec<_> = setup.routes.iter().map(ToString::to_string).collect();
        let refusal = "unreachable default".to_owned();
        match known {
            Some(route) => assert_eq!(routes, [route.clone(), route, refusal], "{matches}"),
            None => assert_eq!(routes, ["default via 10.0.1.1".to_owned(), refusal], "{matches}"),
        }
        assert_eq!(setup.addresses.len(), usize::from(device.is_some()), "{matches}");
        let said: Vec<_> = setup.unread.iter().map(ToString::to_string).collect();
        let why = "a.yaml:7: routes: table 7: which interface it is only the running host knows: import that instead";
        assert_eq!(said, device.map_or(vec![why], |_| vec![]), "{matches}");
    }
}
