//! What the configuration adds.

use super::*;

#[test]
fn ranges_follow_the_configuration() {
    let config = Config {
        ranges: crate::config::Ranges { rule_priority: 5000, table: 7000 },
        ..Config::default()
    };
    let host = two_networks();
    let desired = desire(&config, &host.0, &host.uplinks(), &SavedSysctls::default());
    assert!(desired.rules.iter().all(|rule| (5000..=5050).contains(&rule.priority)));
    assert!(desired.routes.iter().all(|route| (7001..=7002).contains(&route.table)));
}

/// A configuration from its text.
fn configured(text: &str) -> Config {
    let file = std::env::temp_dir().join(format!(
        "prroute-desired-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file));
    std::fs::remove_file(&file).unwrap();
    config.unwrap()
}

fn commands_of(config: &Config, host: &Host, text: &str) -> Vec<String> {
    let uplinks = crate::state::fixture::uplinks(config, &host.0);
    let desired = desire(config, &host.0, &uplinks, &SavedSysctls::default());
    let plan = diff(config, &desired, &host.0).unwrap().to_string();
    plan.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// Replies win: the rules for destinations come behind those for sources. Of two prefixes the
/// longer one is asked first.
#[test]
fn the_administrators_destinations_go_over_their_uplink() {
    let config = configured(
        "[[uplink]]\nname = \"eth1\"\nto = [\"1.0.0.0/8\", \"1.1.1.1\", \"2001:db8:53::/48\"]\n",
    );
    assert_eq!(
        commands_of(&config, &two_networks(), " to "),
        [
            "ip rule add priority 21100 from all to 1.1.1.1/32 lookup 21002 protocol 213",
            "ip rule add priority 21124 from all to 1.0.0.0/8 lookup 21002 protocol 213",
            "ip -6 rule add priority 21180 from all to 2001:db8:53::/48 lookup 21002 protocol 213",
        ]
    );
}

#[test]
fn destinations_are_routed_elsewhere_while_their_gateway_is_dead_unless_held() {
    let dead = || two_networks().neighbour("eth1", "192.168.2.1", NeighbourState::Failed);
    let entry = "[[uplink]]\nname = \"eth1\"\nto = [\"1.1.1.1\"]\n";
    assert_eq!(commands_of(&configured(entry), &dead(), " to "), [""; 0]);
    let held = configured(&format!("{entry}on-down = \"hold\"\n"));
    assert_eq!(commands_of(&held, &dead(), " to ").len(), 1);
}

#[test]
fn a_held_uplink_has_a_last_route_that_leads_nowhere() {
    let config =
        configured("on-down = \"hold\"\n[[uplink]]\nname = \"eth0\"\non-down = \"route\"\n");
    let down = two_networks().change("eth1", |link| link.carrier = false);
    let expected = [
        "ip route add unreachable default table 21002 proto 213 metric 4294967295",
        "ip -6 route add unreachable default table 21002 proto 213 metric 4294967295",
    ];
    assert_eq!(commands_of(&config, &down, "unreachable"), expected);
    assert_eq!(
        commands_of(&config, &two_networks(), "unreachable"),
        expected,
        "before it is needed"
    );
    assert_eq!(commands_of(&Config::default(), &down, "unreachable"), [""; 0]);
}

#[test]
fn a_table_by_number_is_used_in_rules_and_routes() {
    let config = configured("[[uplink]]\nname = \"eth1\"\ntable = 21900\n");
    assert_eq!(commands_of(&config, &two_networks(), "21002"), [""; 0]);
    assert_eq!(commands_of(&config, &two_networks(), "table 21900").len(), 4);
    assert_eq!(commands_of(&config, &two_networks(), "lookup 21900").len(), 2);
}

#[test]
fn applications_bound_to_a_device_leave_by_it_when_asked_for() {
    let config = configured("bind-device = true\n");
    assert_eq!(
        commands_of(&config, &two_networks(), "oif eth1"),
        [
            "ip rule add priority 21300 from all oif eth1 lookup 21002 protocol 213",
            "ip -6 rule add priority 21300 from all oif eth1 lookup 21002 protocol 213",
        ]
    );
    assert_eq!(with(&two_networks(), "oif"), [""; 0]);
}
