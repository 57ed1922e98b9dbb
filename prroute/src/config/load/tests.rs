use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.overlay(Path::new("prroute.toml"), text)?;
    Ok(config)
}

fn error(text: &str) -> String {
    parse(text).expect_err("the configuration is wrong").to_string()
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
    let config = Config::default();
    assert_eq!(config.ranges.rule_priority, 21_000);
    assert_eq!(config.ranges.table, 21_000);
    assert_eq!(config.flows, 262_144);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        on-stop = "undo"
        attach = "clsact"
        flows = 65536
        exclude = ["docker*", "wg0"]
        rule-priority = 5000
        table = 7000
        rp-filter = "leave"
        udp-source = false

        [[uplink]]
        name = "eth0"
        gateway = ["192.0.2.1", "fe80::1"]
        reply = "gateway"

        [[uplink]]
        name = "wwan*"
        reply = "off"
        "#,
    )
    .unwrap();
    assert_eq!(
        config,
        Config {
            on_stop: OnStop::Undo,
            attach: Attach::Clsact,
            flows: 65_536,
            exclude: vec![Pattern::new("docker*"), Pattern::new("wg0")],
            ranges: crate::config::Ranges { rule_priority: 5000, table: 7000 },
            rp_filter: RpFilter::Leave,
            udp_source: false,
            uplinks: vec![
                UplinkConfig {
                    name: Pattern::new("eth0"),
                    gateways: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
                    reply: Reply::Gateway,
                },
                UplinkConfig {
                    name: Pattern::new("wwan*"),
                    gateways: Vec::new(),
                    reply: Reply::Off,
                },
            ],
        }
    );
}

#[test]
fn errors_name_file_line_and_key() {
    assert_eq!(
        error("on-stop = \"keep\"\non-stpo = 1\n"),
        "prroute.toml:2: on-stpo: unknown key `on-stpo`, did you mean `on-stop`?"
    );
    assert_eq!(
        error("\n\n[[uplink]]\nname = \"eth0\"\ngatway = []\n"),
        "prroute.toml:5: gatway: unknown key `gatway`, did you mean `gateway`?"
    );
    assert_eq!(
        error("attach = \"tc\"\n"),
        "prroute.toml:1: attach: unknown value `tc`, did you mean `tcx`?"
    );
    assert!(
        error("zzzzzzzz = 1\n")
            .starts_with("prroute.toml:1: zzzzzzzz: unknown key `zzzzzzzz`, known are on-stop,")
    );
    assert_eq!(
        error("flows = \"many\"\n"),
        "prroute.toml:1: flows: invalid type: string \"many\", expected i64"
    );
    assert_eq!(error("\nflows = 7\n"), "prroute.toml:2: flows: 7 is not between 2048 and 16777216");
    assert_eq!(
        error("rule-priority = 32000\n"),
        "prroute.toml:1: rule-priority: 32000 is not between 1 and 31766"
    );
    assert_eq!(
        error("table = 254\n"),
        "prroute.toml:1: table: 254 is not between 256 and 4294966295"
    );
    assert_eq!(
        error("[[uplink]]\nname = \"a\"\ngateway = [\n  \"192.0.2.1\",\n  \"nonsense\",\n]\n"),
        "prroute.toml:5: gateway: \"nonsense\" is no address of a gateway"
    );
    assert_eq!(
        error("[[uplink]]\nname = \"a b\"\n"),
        "prroute.toml:2: name: \"a b\" is no name of an interface"
    );
    assert!(error("on-stop = \n").starts_with("prroute.toml:1: on-stop: "));
}

#[test]
fn last_hop_is_refused_by_name() {
    assert_eq!(
        error("[[uplink]]\nname = \"a\"\nreply = \"last-hop\"\n"),
        "prroute.toml:3: reply: `last-hop` is not supported yet; use auto, gateway or off"
    );
}

#[test]
fn later_files_override_keys() {
    let folder = std::env::temp_dir().join(format!("prroute-config-{}", std::process::id()));
    let drop_ins = folder.join("conf.d");
    fs::create_dir_all(&drop_ins).unwrap();
    let main = folder.join("prroute.toml");
    let main_text = "flows = 4096\ntable = 5000\n[[uplink]]\nname = \"eth0\"\nreply = \"off\"\n";
    fs::write(&main, main_text).unwrap();
    fs::write(drop_ins.join("20-b.toml"), "flows = 8192\n").unwrap();
    let first = "flows = 6000\n[[uplink]]\nname = \"eth0\"\ngateway = [\"192.0.2.1\"]\n";
    fs::write(drop_ins.join("10-a.toml"), first).unwrap();
    fs::write(drop_ins.join("notes.txt"), "not read").unwrap();

    let config = Config::load_layers(&main, &drop_ins);
    let missing = Config::load_layers(&folder.join("no.toml"), &folder.join("no.d"));
    let named_missing = Config::load(Some(&folder.join("no.toml")));
    fs::remove_dir_all(&folder).unwrap();

    let config = config.unwrap();
    assert_eq!((config.flows, config.ranges.table), (8192, 5000));
    assert_eq!(config.uplinks.len(), 1);
    assert_eq!(config.uplinks[0].reply, Reply::Off, "kept from the first file");
    assert_eq!(config.uplinks[0].gateways, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(missing.unwrap(), Config::default());
    assert!(named_missing.is_err(), "a file that was asked for must be there");
}

#[test]
fn an_exact_name_wins_over_a_glob() {
    let text = "[[uplink]]\nname = \"eth0\"\nreply = \"off\"\n[[uplink]]\nname = \"eth*\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.uplink(&["eth0"]).unwrap().reply, Reply::Off);
    assert_eq!(config.uplink(&["eth1"]).unwrap().reply, Reply::Auto);
    assert_eq!(config.uplink(&["enp1s0", "eth0"]).unwrap().reply, Reply::Off);
    assert!(config.uplink(&["wg0"]).is_none());
}
