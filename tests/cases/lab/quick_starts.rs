//! Who follows a quick start of the book line by line gets what it promises.

mod bgp;
mod expected;
mod reader;
mod site;
mod symptoms;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::bird::Bird;
use prroute_tests::command;
use prroute_tests::docker::{Docker, Engine, Iptables};
use prroute_tests::image;
use prroute_tests::keepalived::Keepalived;
use prroute_tests::tunnel::Tunnel;

use self::reader::{Reader, text};
use self::site::Site;
use crate::blocks::blocks;

const NETWORKD: &str = "systemctl restart systemd-networkd";
const BIRD: &str = "systemctl enable --now bird";
const LESS: &str = "less remove.sh";

#[test]
fn every_page_is_followed() -> Result<()> {
    for entry in std::fs::read_dir(reader::folder())? {
        let page = entry?.file_name().to_string_lossy().into_owned();
        let is_followed = include_str!("quick_starts.rs").contains(&format!("follow(\"{page}\")"));
        ensure!(is_followed || page == "README.md", "no case follows {page}");
    }
    Ok(())
}

#[test]
fn two_nics() -> Result<()> {
    let site = Site::build()?;
    site.expect_silent("10.0.2.2")?;
    Reader::new(&site, &[NETWORKD])?.follow("two-nics.md")
}

#[test]
fn shared_address() -> Result<()> {
    let site = Site::build()?;
    site.provider.ip("route add 198.51.100.10 via 10.0.2.2 dev r1")?;
    Reader::new(&site, &[])?.follow("shared-address.md")
}

#[test]
fn two_subnets() -> Result<()> {
    let site = Site::build()?;
    site.provider.ip("address add 10.0.3.1/24 dev r1")?;
    site.host.ip_batch(
        "address add 10.0.3.2/24 dev eth1\n\
         route add default via 10.0.3.1 dev eth1 metric 300\n",
    )?;
    Reader::new(&site, &[])?.follow("two-subnets.md")
}

/// cloud-init itself: `guest::cloud_init`.
#[test]
fn vpc() -> Result<()> {
    const LEFT_OUT: &[&str] = &[
        NETWORKD,
        "export public_mac=02:00:5e:10:00:01 private_mac=02:00:5e:10:00:02 \
         private_destinations='[\"192.0.2.14\"]'",
        "export package_url=https://packages.example.net/prroute_0.1.0-1_amd64.deb",
        "export package_sha256=$(grep ' prroute_0.1.0-1_amd64.deb$' SHA256SUMS | cut -d' ' -f1)",
        "envsubst < user-data.yaml > user-data",
        "cloud-init schema --config-file user-data",
    ];
    Reader::new(&Site::build()?, LEFT_OUT)?.follow("vpc.md")
}

#[test]
fn direct_return() -> Result<()> {
    let site = Site::build()?;
    site.host.ip("address add 198.51.100.10/32 dev lo")?;
    site.host.sysctl(&["net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])?;
    Reader::new(&site, &[])?.follow("direct-return.md")
}

#[test]
fn from_netplan() -> Result<()> {
    let site = Site::build()?;
    site.host.ip_batch(
        "route add default via 10.0.2.1 dev eth1 table 20\n\
         rule add from 10.0.2.2 lookup 20\n\
         rule add to 192.0.2.14 lookup 20\n",
    )?;
    Reader::new(&site, &[NETWORKD, LESS])?.follow("from-netplan.md")
}

/// The rules of ec2-net-utils, made by hand.
#[test]
fn from_ec2_net_utils() -> Result<()> {
    let site = Site::build()?;
    site.host.ip_batch(
        "route add default via 10.0.2.1 dev eth1 table 10001\n\
         route add 10.0.2.0/24 dev eth1 scope link table 10001\n\
         rule add from 10.0.2.2 lookup 10001 priority 10001\n",
    )?;
    Reader::new(&site, &[NETWORKD, LESS])?.follow("from-ec2-net-utils.md")
}

#[test]
fn from_connmark() -> Result<()> {
    let site = Site::build()?;
    site.host.ip_batch(
        "route delete default via 10.0.2.1 dev eth1\n\
         route add default via 10.0.2.1 dev eth1 table 100\n\
         rule add fwmark 0x1 lookup 100\n",
    )?;
    let restore = "-m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 -j CONNMARK --restore-mark";
    let save = "-i eth1 -m conntrack --ctstate NEW --ctdir ORIGINAL -j CONNMARK --set-mark 0x1";
    for rule in
        [format!("PREROUTING {restore}"), format!("OUTPUT {restore}"), format!("PREROUTING {save}")]
    {
        let words: Vec<&str> = rule.split_whitespace().collect();
        site.host.run(&[&["iptables", "-t", "mangle", "-A"], &words[..]].concat())?;
    }
    Reader::new(&site, &[LESS])?.follow("from-connmark.md")
}

/// With the page's file.
#[test]
fn keepalived() -> Result<()> {
    let site = Site::build()?;
    let file = blocks(&text("keepalived.md")?)
        .into_iter()
        .find(|block| block.text.starts_with("# /etc/keepalived/"))
        .context("no file of keepalived")?;
    let mut keepalived = Keepalived::start_with(&site.host, &site.scratch, &file.text)?;
    keepalived.wait_master(&site.host, &[("10.0.2.100".parse()?, 32)])?;
    Reader::new(&site, &[])?.follow("keepalived.md")?;
    keepalived.stop()
}

/// With the page's file.
#[test]
fn anycast() -> Result<()> {
    let site = Site::build()?;
    let routers = bgp::routers(&site)?;
    let reader = Reader::new(&site, &[BIRD])?;
    reader.write_first_file("anycast.md")?;
    let host = Bird::start(&site.host, &site.scratch, reader.etc())?;
    let birdc = bgp::birdc(&site, &host)?;
    let followed = reader.with_program("birdc", &birdc)?.follow("anycast.md");
    followed.with_context(|| format!("BIRD said:\n{}", host.log()))?;
    host.stop()?;
    routers.stop()
}

/// Tun devices in place of WireGuard, and the rules of wg-quick made by `ip`. The real ones: `links::point_to_point`,
/// `guest::wg_quick`.
#[test]
fn vpn() -> Result<()> {
    // The daemon looks when all is there, as it does where no command takes 20 ms: else it may go before the
    // first rule of a family, and the second comes before it.
    const WG_QUICK: &str = "#!/bin/sh -e\n\
        daemon=$(prroute status | sed -n 's/.*, pid \\([0-9]*\\),.*/\\1/p')\n\
        kill -STOP \"$daemon\"\n\
        trap 'kill -CONT \"$daemon\"' EXIT\n\
        for family in -4 -6; do\n\
        ip $family rule add not fwmark 51820 table 51820\n\
        ip $family rule add table main suppress_prefixlength 0\n\
        done\n";
    let site = Site::build()?;
    let _wg0 = Tunnel::between((&site.host, "wg0"), (&site.provider, "wg0"))?;
    let _exit = Tunnel::between((&site.host, "exit"), (&site.provider, "exit"))?;
    site.host.ip_batch(
        "address add 192.0.2.10/32 dev wg0\n\
         link set wg0 mtu 1420\n\
         route add default dev wg0 metric 5000\n\
         route add default dev exit table 51820\n",
    )?;
    site.host.ip("-6 route add default dev exit table 51820")?;
    Reader::new(&site, &[])?.with_program("wg-quick", WG_QUICK)?.follow("vpn.md")
}

#[test]
fn docker() -> Result<()> {
    let site = Site::build()?;
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: true };
    let docker = Docker::start(&site.host, &site.scratch, &site.name, engine, false)?;
    let server = format!("CMD {}", serde_json::to_string(&image::web_server(80))?);
    let tar = image::build(&site.scratch)?.display().to_string();
    docker.run(&["import", "--change", &server, &tar, "nginx"])?;
    let socket = site.scratch.path().join("docker.sock");
    let program = command::run(&["sh", "-c", "command -v docker"])?;
    let client =
        format!("#!/bin/sh\nexec {} --host=unix://{} \"$@\"\n", program.trim(), socket.display());
    Reader::new(&site, &[])?
        .with_program("docker", &client)?
        .naming("172.30.0.", "172.17.0.")
        .follow("docker.md")
}
