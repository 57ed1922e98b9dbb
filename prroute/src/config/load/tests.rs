use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::super::{Attach, Mode, OnDown, OnStop, OwnSource, Pattern, Reply, RpFilter, SAMPLE};
use super::*;

mod limits;

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_all(&[text])
}

/// Several files, laid over each other.
fn parse_all(texts: &[&str]) -> Result<Config, ConfigError> {
    let mut draft = Draft::default();
    for text in texts {
        draft.overlay(Path::new("prroute.toml"), text);
    }
    draft.finish()
}

fn error(text: &str) -> String {
    parse(text).expect_err("the configuration is wrong").to_string()
}

fn name(pattern: &str) -> Selector {
    Selector::Name(Pattern::new(pattern))
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
    let config = Config::default();
    assert_eq!(config.ranges.rule_priority, 21_000);
    assert_eq!(config.ranges.table, 21_000);
    assert_eq!(config.flows, None);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        mode = "observe"
        on-stop = "undo"
        attach = "clsact"
        flows = 65536
        exclude = ["docker*", "wg0"]
        rule-priority = 5000
        table = 7000
        rp-filter = "leave"
        own-source = "datapath"
        on-down = "hold"
        bind-device = true
        udp-source = false
        gateway-probe = 0

        [[uplink]]
        name = "eth0"
        gateway = ["192.0.2.1", "fe80::1"]
        reply = "gateway"
        on-down = "route"
        table = 7256
        to = ["192.0.2.0/24", "2001:db8::53"]

        [[uplink]]
        name = "wwan*"
        reply = "off"

        [[uplink]]
        mac = "02:00:5e:10:AB-01"
        reply = "last-hop"
        "#,
    )
    .unwrap();
    let expected = Config {
        mode: Mode::Observe,
        on_stop: OnStop::Undo,
        attach: Attach::Clsact,
        flows: Some(65_536),
        exclude: vec![Pattern::new("docker*"), Pattern::new("wg0")],
        ranges: crate::config::Ranges { rule_priority: 5000, table: 7000 },
        rule_priority_is_fixed: true,
        rp_filter: RpFilter::Leave,
        own_source: OwnSource::Datapath,
        on_down: OnDown::Hold,
        bind_device: true,
        udp_source: false,
        gateway_probe: 0,
        uplinks: vec![
            UplinkConfig {
                selector: name("eth0"),
                gateways: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
                reply: Reply::Gateway,
                on_down: Some(OnDown::Route),
                table: Some(7256),
                to: nets(&["192.0.2.0/24", "2001:db8::53/128"]),
            },
            UplinkConfig { reply: Reply::Off, ..UplinkConfig::new(name("wwan*")) },
            UplinkConfig {
                reply: Reply::LastHop,
                ..UplinkConfig::new(Selector::Mac([2, 0, 0x5e, 0x10, 0xab, 1]))
            },
        ],
    };
    assert_eq!(config, expected);
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
        error("zzzzzzzz = 1\n").starts_with(
            "prroute.toml:1: zzzzzzzz: unknown key `zzzzzzzz`, known are mode, on-stop,"
        )
    );
    assert_eq!(
        error("flows = \"many\"\n"),
        "prroute.toml:1: flows: \"many\" is not a whole number"
    );
    assert!(error("on-stop = \n").starts_with("prroute.toml:1: on-stop: not valid TOML: "));
}

#[test]
fn values_out_of_bounds_are_refused() {
    for (text, complaint) in [
        ("flows = 7\n", "1: flows: 7 is not between 2048 and 16777216"),
        ("rule-priority = 32000\n", "1: rule-priority: 32000 is not between 1 and 31766"),
        ("table = 254\n", "1: table: 254 is not between 256 and 4294966295"),
        (
            "[[uplink]]\nname = \"a\"\ngateway = [\n  \"192.0.2.1\",\n  \"nonsense\",\n]\n",
            "5: gateway: \"nonsense\" cannot be the address of a gateway",
        ),
        ("[[uplink]]\nname = \"a b\"\n", "2: name: \"a b\" cannot be the name of an interface"),
        (
            "[[uplink]]\nmac = \"02:00:5e:10:00\"\n",
            "2: mac: \"02:00:5e:10:00\" cannot be the MAC address of an interface",
        ),
        (
            "[[uplink]]\nmac = \"+2:00:5e:10:00:01\"\n",
            "2: mac: \"+2:00:5e:10:00:01\" cannot be the MAC address of an interface",
        ),
        (
            "[[uplink]]\nmac = \"ff:ff:ff:ff:ff:ff\"\n",
            "2: mac: \"ff:ff:ff:ff:ff:ff\" cannot be the MAC address of an interface",
        ),
        ("\n[[uplink]]\nreply = \"off\"\n", "2: uplink: give either `name` or `mac`"),
        (
            "[[uplink]]\nname = \"a\"\nmac = \"02:00:5e:10:00:01\"\n",
            "1: uplink: give either `name` or `mac`",
        ),
        (
            "[[uplink]]\nname = \"a\"\nto = [\"10.0.0.5/24\"]\n",
            "3: to: 10.0.0.5/24 has bits set behind its prefix length; did you mean 10.0.0.0/24?",
        ),
        (
            "[[uplink]]\nname = \"a\"\nto = [\"::/0\"]\n",
            "3: to: ::/0 counts as a default route: add a route to the main table instead",
        ),
        (
            "[[uplink]]\nname = \"a\"\nto = [\"the-moon\"]\n",
            "3: to: \"the-moon\" is not a prefix such as 192.0.2.0/24",
        ),
        (
            "[[uplink]]\nname = \"a\"\nto = [\"224.0.0.0/8\"]\n",
            "3: to: 224.0.0.0/8 cannot be reached over an uplink",
        ),
    ] {
        assert_eq!(error(text), format!("prroute.toml:{complaint}"));
    }
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let two = |key: &str| {
        error(&format!("[[uplink]]\nname = \"a\"\n{key}\n[[uplink]]\nname = \"b\"\n{key}\n"))
    };
    assert_eq!(two("table = 21256"), "prroute.toml:6: table: 21256 is already the table of a");
    assert_eq!(two("to = [\"192.0.2.1\"]"), "prroute.toml:6: to: 192.0.2.1/32 already goes over a");
    assert_eq!(
        error("[[uplink]]\nname = \"a\"\ntable = 21255\n"),
        "prroute.toml:3: table: 21255 is not between 21256 and 21999: prroute gives the tables \
         before 21256 to uplinks without a `table`"
    );
    assert_eq!(
        error("[[uplink]]\nname = \"a*\"\ntable = 21256\n"),
        "prroute.toml:3: table: needs an exact name or MAC address in this [[uplink]], not a \
         pattern"
    );
    assert_eq!(
        error("[[uplink]]\nname = \"a*\"\nto = [\"192.0.2.1\"]\n"),
        "prroute.toml:3: to: needs an exact name or MAC address in this [[uplink]], not a pattern"
    );
    // The range may come from a later file.
    let fixed = "[[uplink]]\nname = \"a\"\ntable = 5300\n";
    assert!(parse_all(&[fixed, "table = 5000\n"]).is_ok());
}

#[test]
fn an_administrators_file_masks_the_vendors_and_overrides_keys() {
    let folder = std::env::temp_dir().join(format!("prroute-config-{}", std::process::id()));
    let (etc, vendor) = (folder.join("etc"), folder.join("usr"));
    let write = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let load = || Config::load_from(&Directories::new([etc.clone(), vendor.clone()]));
    let nothing = load();
    write(vendor.join("prroute.toml"), "flows = 5000\nrule-priority = 4000\n");
    let vendors = load();
    write(
        etc.join("prroute.toml"),
        "flows = 4096\ntable = 5000\n[[uplink]]\nname = \"eth0\"\nreply = \"off\"\n",
    );
    write(vendor.join("conf.d/20-b.toml"), "flows = 8192\n");
    write(vendor.join("conf.d/30-masked.toml"), "flows = 9000\n");
    write(vendor.join("conf.d/40-replaced.toml"), "on-stop = \"undo\"\n");
    write(etc.join("conf.d/40-replaced.toml"), "rp-filter = \"leave\"\n");
    write(
        etc.join("conf.d/10-a.toml"),
        "flows = 6000\n[[uplink]]\nname = \"eth0\"\ngateway = [\"192.0.2.1\"]\n",
    );
    write(etc.join("conf.d/notes.txt"), "not read");
    std::os::unix::fs::symlink("/dev/null", etc.join("conf.d/30-masked.toml")).unwrap();
    let config = load();
    std::os::unix::fs::symlink("/nowhere", etc.join("conf.d/50-lost.toml")).unwrap();
    let dangling = load();
    let named_missing = Config::load(Some(&folder.join("no.toml")));
    fs::remove_dir_all(&folder).unwrap();

    assert_eq!(nothing.unwrap(), Config::default());
    assert_eq!(vendors.unwrap().ranges.rule_priority, 4000);
    let config = config.unwrap();
    assert_eq!((config.flows, config.ranges.table), (Some(8192), 5000));
    assert_eq!(config.ranges.rule_priority, 21_000, "one main file, the administrator's");
    assert_eq!((config.on_stop, config.rp_filter), (OnStop::Keep, RpFilter::Leave));
    assert_eq!(config.uplinks.len(), 1);
    assert_eq!(config.uplinks[0].reply, Reply::Off, "kept from the first file");
    assert_eq!(config.uplinks[0].gateways, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert!(dangling.unwrap_err().to_string().contains("50-lost.toml"));
    assert!(named_missing.is_err(), "a file that was asked for must be there");
}

/// The third seed: a second file adds destinations.
#[test]
fn lists_of_later_files_add_to_earlier_ones_and_empty_ones_start_anew() {
    let uplink = |to: &str| format!("[[uplink]]\nname = \"private\"\nto = [{to}]\n");
    let (first, second) = (uplink("\"1.1.1.1\""), uplink("\"9.9.9.9\", \"1.1.1.1\""));
    let both = parse_all(&[&first, &second]).unwrap();
    assert_eq!(both.uplinks[0].to, nets(&["1.1.1.1/32", "9.9.9.9/32"]));
    let anew = parse_all(&[&first, &uplink(""), &uplink("\"9.9.9.9\"")]).unwrap();
    assert_eq!(anew.uplinks[0].to, nets(&["9.9.9.9/32"]));
    let exclude = |texts: &[&str]| parse_all(texts).unwrap().exclude;
    let wlan = "exclude = [\"wlan*\"]";
    assert_eq!(exclude(&[wlan, "exclude = [\"usb0\"]"]).len(), 2);
    assert_eq!(exclude(&[wlan, "exclude = []"]).len(), 0);
}

#[test]
fn a_mac_address_wins_over_a_name_and_a_name_over_a_glob() {
    let text = "[[uplink]]\nmac = \"02:00:00:00:00:07\"\nreply = \"gateway\"\n\
                [[uplink]]\nname = \"eth0\"\nreply = \"off\"\n[[uplink]]\nname = \"eth*\"\n";
    let config = parse(text).unwrap();
    let reply = |names: &[&str], mac| config.uplink(names, mac).map(|u| u.reply);
    assert_eq!(reply(&["eth0"], None), Some(Reply::Off));
    assert_eq!(reply(&["eth1"], None), Some(Reply::Auto));
    assert_eq!(reply(&["enp1s0", "eth0"], None), Some(Reply::Off));
    assert_eq!(reply(&["eth0"], Some([2, 0, 0, 0, 0, 7])), Some(Reply::Gateway));
    assert_eq!(reply(&["eth0"], Some([2, 0, 0, 0, 0, 8])), Some(Reply::Off));
    assert_eq!(reply(&["wg0"], None), None);
}

#[test]
fn the_sample_says_the_defaults_and_its_comments_are_valid() {
    assert_eq!(parse(SAMPLE).unwrap(), Config::default());
    // `rule-priority` does more when it is written than its default.
    let shown = |key: &str| {
        let line = format!("{key} = ");
        SAMPLE.lines().any(|l| l.starts_with(&line) || l.starts_with(&format!("#{line}")))
    };
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for key in defaults.as_object().unwrap().keys().filter(|key| *key != "uplink") {
        assert!(shown(key), "the default of {key} is not visible");
    }
    // A key directly behind the sign is one to be used; `mac` is instead of `name`.
    let is_key = |line: &str| line.starts_with('[') || line.contains(" = ");
    let used: Vec<String> = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && is_key(rest) => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let by_name = used.iter().filter(|line| !line.starts_with("mac")).cloned();
    let by_name = parse(&by_name.collect::<Vec<_>>().join("\n")).unwrap();
    let by_mac = used.iter().filter(|line| !line.starts_with("name")).cloned();
    let by_mac = parse(&by_mac.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(by_name.uplinks[0].to.len(), 2);
    assert_eq!(by_mac.uplinks[0].gateways.len(), 2);
}

#[test]
fn every_mistake_of_a_file_is_named_at_once_in_plain_words() {
    let text = "flows = \"65536\"\nudp-source = \"yes\"\nattach = 5\nexclude = \"wlan*\"\nflow = 1\n\
                gateway-probe = 99\ntable = 99999999999999999999\nbind-device = 1.5\n[[uplink]]\n\
                name = 7\nto = [\"10.0.0.0/8\", 8, \"the-moon\"]\nreply = \"of\"\n[[uplink]]\n\
                gateway = [\"127.0.0.1\"]\ntable = 77\n";
    assert_eq!(
        error(text),
        "prroute.toml:1: flows: \"65536\" is a text: write the number without quotes
prroute.toml:2: udp-source: \"yes\" is neither true nor false (without quotes)
prroute.toml:3: attach: unknown value `5`, known are auto, tcx, clsact
prroute.toml:4: exclude: \"wlan*\" is not a list: write exclude = [\"wlan*\"]
prroute.toml:5: flow: unknown key `flow`, did you mean `flows`?
prroute.toml:6: gateway-probe: 99 is not between 0 and 60
prroute.toml:7: table: 99999999999999999999 is too large a number
prroute.toml:8: bind-device: 1.5 is neither true nor false (without quotes)
prroute.toml:10: name: 7 is not a text in quotes
prroute.toml:11: to: 8 is not a text in quotes
prroute.toml:11: to: \"the-moon\" is not a prefix such as 192.0.2.0/24
prroute.toml:12: reply: unknown value `of`, did you mean `off`?
prroute.toml:13: uplink: give either `name` or `mac`
prroute.toml:14: gateway: \"127.0.0.1\" cannot be the address of a gateway
prroute.toml:15: table: 77 is not between 256 and 4294967295"
    );
    assert_eq!(
        error("[uplink]\nname = \"eth0\"\n"),
        "prroute.toml:1: uplink: the table has one pair of brackets: write [[uplink]]"
    );
}

#[test]
fn a_file_that_is_not_toml_hides_no_mistake_of_another() {
    let said = parse_all(&["on-stop = \nexclude = [\n", "flows = 7\n[[uplink]]\nname = \"a b\"\n"]);
    let said = said.unwrap_err();
    let lines: Vec<String> = said.mistakes().iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("prroute.toml:1: on-stop: not valid TOML: "), "{lines:#?}");
    let others = &lines[lines.len() - 2..];
    assert_eq!(
        others,
        [
            "prroute.toml:1: flows: 7 is not between 2048 and 16777216",
            "prroute.toml:3: name: \"a b\" cannot be the name of an interface"
        ]
    );
    // What the file that cannot be read says of tables is not known.
    let said = parse_all(&["table = \n", "[[uplink]]\nname = \"a\"\ntable = 5300\n"]).unwrap_err();
    assert_eq!(said.mistakes().len(), 1, "{said}");
    let said = parse("table = 1\n[[uplink]]\nname = \"a\"\ntable = 5300\n").unwrap_err();
    assert_eq!(said.mistakes().len(), 1, "{said}");
}

#[test]
fn thousands_of_mistakes_are_counted() {
    let text: String = (0..2_000).map(|n| format!("key{n} = 1\n")).collect();
    let said = parse(&text).unwrap_err();
    assert_eq!(said.mistakes().len(), 100);
    assert!(said.to_string().ends_with("\n1900 more mistakes are not listed"), "{said}");
    assert!(said.summary().ends_with(" (and 1999 more mistakes)"), "{}", said.summary());
}
