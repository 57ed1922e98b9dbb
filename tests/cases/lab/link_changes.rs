//! A link gets another name, another MTU and another MAC address while conversations go on over
//! it.

use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::stream::Stream;
use prroute_tests::{probe, socket, wait};
use serde_json::Value;

/// The promise is a second; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

const PORT: u16 = 7;
const NEW_MAC: &str = "02:00:00:00:02:77";

/// The host's own and the shared address, as the second uplink is asked for them.
fn targets() -> Vec<(IpAddr, IpAddr)> {
    let of = |family| {
        let client = addressing::client(2, family);
        [(client, addressing::host(2, family)), (client, addressing::shared(family))]
    };
    Family::BOTH.into_iter().flat_map(of).collect()
}

fn converse(lab: &Lab) -> Result<Vec<TcpStream>> {
    let open = |(client, target)| socket::tcp(&lab.client, client, target, PORT);
    targets().into_iter().map(open).collect()
}

/// Much of it does not fit into one packet.
fn go_on(conversations: &mut [TcpStream]) -> Result<()> {
    conversations.iter_mut().try_for_each(|stream| {
        echo::tcp_round(stream, 100_000).with_context(|| format!("{stream:?}"))
    })
}

fn streams(lab: &Lab) -> Result<Vec<Stream>> {
    let start = |(client, target)| Stream::start(&lab.client, client, target);
    targets().into_iter().map(start).collect()
}

fn everything_is_answered(lab: &Lab) -> Result<()> {
    lab.expect_answered_within(DEADLINE, &probe::to_everything(2))
}

/// Waits until the status of the second uplink shows this.
fn shows(prroute: &Instance<'_>, key: &str, value: &Value) -> Result<()> {
    let mut last = Value::Null;
    wait::until("the change is noticed", DEADLINE, || {
        last = prroute.status()?["uplinks"][1].take();
        Ok((last[key] == *value).then_some(()))
    })
    .with_context(|| format!("{key} is {}, not {value}", last[key]))
}

/// Linux 6.2 and newer rename a link that is up.
#[test]
fn conversations_outlive_a_live_rename_of_their_link() -> Result<()> {
    outlive("wan2")
}

#[test]
fn conversations_outlive_another_mtu_and_mac_address_of_their_link() -> Result<()> {
    outlive("up2")
}

/// The second uplink is called `name` from now on, and gets another MTU and MAC address.
fn outlive(name: &str) -> Result<()> {
    let lab = Lab::with_services(Topology {
        uplinks: 2,
        rp_filter: 1,
        routers_know_host: false,
        ..Topology::DEFAULT
    })?;
    // The router shall hear of another MAC address.
    lab.host.sysctl(&["net.ipv4.conf.up2.arp_notify=1", "net.ipv6.conf.up2.ndisc_notify=1"])?;
    let before = lab.snapshot()?;
    let mac = addressing::host_mac(2);
    let addresses: Vec<IpAddr> = targets().into_iter().map(|(_, target)| target).collect();
    let _echo = Echo::start(&lab.host, &addresses, PORT)?;
    lab.with_prroute(|prroute| {
        let rules = |family: Family| lab.host.ip(&format!("{} rule show", family.option()));
        let installed = [rules(Family::V4)?, rules(Family::V6)?];
        let mut conversations = converse(&lab)?;
        go_on(&mut conversations).context("before any change")?;
        let running = streams(&lab)?;

        if name != "up2" {
            lab.host.ip(&format!("link set up2 name {name}"))?;
        }
        shows(prroute, "name", &name.into())?;
        go_on(&mut conversations).context("under another name")?;

        lab.host.ip(&format!("link set {name} mtu 1400"))?;
        shows(prroute, "mtu", &1400.into())?;
        go_on(&mut conversations).context("with another MTU")?;
        let sent = running.into_iter().map(Stream::lost_nothing).collect::<Result<Vec<_>>>()?;
        ensure!(sent.iter().all(|&sent| sent > 50), "too few to prove anything: {sent:?}");

        // A packet that is on its way to the old address is lost, and sent again.
        lab.host.ip(&format!("link set {name} address {NEW_MAC}"))?;
        shows(prroute, "mac", &NEW_MAC.into())?;
        // The kernel has forgotten the gateways, too.
        everything_is_answered(&lab)?;
        go_on(&mut conversations).context("with another MAC address")?;

        ensure!([rules(Family::V4)?, rules(Family::V6)?] == installed, "{}", rules(Family::V4)?);
        let table = lab.host.ip("route show table 21002")?;
        ensure!(table.contains(&format!("default via 10.0.2.1 dev {name}")), "{table}");

        // What is undone is undone under its new name.
        Ok(())
    })?;
    lab.host.ip(&format!("link set {name} address {mac}"))?;
    lab.host.ip(&format!("link set {name} mtu 1500"))?;
    if name != "up2" {
        lab.host.ip(&format!("link set {name} name up2"))?;
    }
    lab.expect_unchanged_since(&before)
}

/// Runs a shell command on the host; `printf` makes bytes that are not UTF-8.
fn shell(lab: &Lab, script: &str) -> Result<()> {
    lab.host.run(&["sh", "-ec", script]).map(drop)
}

fn managed(prroute: &Instance<'_>) -> Result<Vec<String>> {
    let status = prroute.status()?;
    let uplinks = status["uplinks"].as_array().context("no uplinks")?.iter();
    Ok(uplinks.filter_map(|uplink| Some(uplink["name"].as_str()?.to_owned())).collect())
}

/// The kernel takes any byte but a slash and white space for a name.
#[test]
fn names_that_are_not_utf_8_concern_nobody_else() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    // A veth without a default route has to be named.
    shell(&lab, r#"ip link set dev up1 alias "$(printf '\351t\351')""#)?;
    shell(&lab, r#"ip link property add dev up2 altname "$(printf '\351th2')""#)?;
    shell(&lab, "ip link property add dev up2 altname good2")?;
    lab.with_configuration(
        "[[uplink]]\nname = \"good2\"\nreply = \"gateway\"\n[[uplink]]\nname = \"up3\"\n",
        |prroute| {
            // An alias and another name: all are managed, by the names that can be read too.
            everything_is_answered(&lab)?;
            let status = prroute.status()?;
            ensure!(status["uplinks"][1]["reply"] == "gateway", "{status:#}");

            shell(&lab, r#"ip link set up3 down; ip link set up3 name "$(printf '\351th3')""#)?;
            shell(&lab, r#"ip link set "$(printf '\351th3')" up"#)?;
            wait::until("two are left", DEADLINE, || {
                Ok((managed(prroute)? == ["up1", "up2"]).then_some(()))
            })?;
            let status = prroute.status()?;
            let skipped = status["skipped"].as_array().context("nothing is skipped")?;
            let is_named = skipped.iter().any(|skipped| {
                skipped["name"] == r"\xe9th3" && skipped["reason"] == "its name is not UTF-8"
            });
            ensure!(is_named, "{status:#}");
            // What it does is no news, and what others do is.
            lab.host.ip("address add 10.99.0.1/32 dev up1")?;
            wait::until("the address is noticed", DEADLINE, || {
                Ok(prroute.status()?["uplinks"][0].to_string().contains("10.99.0.1").then_some(()))
            })?;
            everything_is_answered(&lab)?;
            let log = prroute.log();
            ensure!(log.matches(r#"its name "\xe9th3" is not UTF-8"#).count() == 1, "{log}");

            shell(&lab, r#"ip link set "$(printf '\351th3')" down"#)?;
            shell(&lab, r#"ip link set "$(printf '\351th3')" name up3; ip link set up3 up"#)?;
            wait::until("three again", DEADLINE, || {
                Ok((managed(prroute)? == ["up1", "up2", "up3"]).then_some(()))
            })
        },
    )?;
    let rules = lab.host.ip("rule show")?;
    ensure!(rules.lines().count() == 3, "{rules}");
    Ok(())
}
