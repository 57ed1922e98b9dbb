//! Amazon's own package for hosts with several network interfaces, amazon-ec2-net-utils, beside prroute: it
//! has systemd-networkd route the second interface's addresses by tables and rules of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::advertiser::{Advertisement, Advertiser};
use prroute_tests::dhcp;
use prroute_tests::echo::Echo;
use prroute_tests::lab::Lab;
use prroute_tests::{router, wait};

use crate::metadata::Metadata;
use crate::network::{PORT, TWO_UPLINKS, silent};
use crate::service::{JOB, Service, run, systemctl};

/// The package's configuration of networkd, which names the drivers of Amazon's interfaces.
const NETWORK: &str = "/usr/lib/systemd/network/80-ec2.network";
const DRIVERS: &str = "Driver=ena ixgbevf vif";

/// What the package and the case leave.
const FILES: [&str; 2] = ["/run/systemd/network", "/etc/systemd/networkd.conf.d"];

/// What networkd makes of a router's advertisement, by the interface's MAC address.
fn address(number: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => addressing::host(number, family),
        Family::V6 => {
            let number = u16::from(number);
            [0x2001, 0xdb8, number, 0, 0, 0xff, 0xfe00, (number << 8) | 0x10].into()
        }
    }
}

/// DHCP and router advertisements on both uplinks, and the cloud's metadata.
struct Cloud {
    _servers: Vec<dhcp::Server>,
    _advertisers: Vec<Advertiser>,
    _metadata: Metadata,
}

impl Cloud {
    fn around(lab: &Lab) -> Result<Self> {
        let (mut servers, mut advertisers) = (Vec::new(), Vec::new());
        let mut texts = BTreeMap::from([("mac".to_owned(), addressing::host_mac(1))]);
        for n in 1..=2 {
            let (mac, namespace) = (addressing::host_mac(n), &lab.router(n).namespace);
            let given = BTreeMap::from([(mac.clone(), Ipv4Addr::new(10, 0, n, 10))]);
            let network = [Ipv4Addr::new(10, 0, n, 0)];
            servers.push(dhcp::Server::start(
                namespace,
                router::LAN,
                &lab.scratch,
                &network,
                given,
            )?);
            let advertisement = Advertisement::of(&addressing::prefix(n, Family::V6));
            advertisers.push(Advertiser::start(
                namespace,
                router::LAN,
                &lab.scratch,
                &advertisement,
            )?);
            let mut text = |key: &str, text: String| {
                texts.insert(format!("network/interfaces/macs/{mac}/{key}"), text);
            };
            text("device-number", (n - 1).to_string());
            text("interface-id", format!("eni-0{n}"));
            text("local-ipv4s", address(n, Family::V4).to_string());
            text("ipv6s", address(n, Family::V6).to_string());
        }
        let metadata = Metadata::serve(lab, texts)?;
        Ok(Self { _servers: servers, _advertisers: advertisers, _metadata: metadata })
    }
}

/// The package at work, as its udev rule starts it for Amazon's interfaces; stopped when dropped.
struct Package {
    original: String,
}

impl Package {
    fn start() -> Result<Self> {
        let original = fs::read_to_string(NETWORK).with_context(|| format!("read {NETWORK}"))?;
        ensure!(original.contains(DRIVERS), "{NETWORK} has no {DRIVERS}");
        fs::write(NETWORK, original.replace(DRIVERS, "Driver=veth"))
            .with_context(|| format!("write {NETWORK}"))?;
        let package = Self { original };
        systemctl(&["start", "systemd-networkd.service"])?;
        for n in 1..=2 {
            let unit = format!("policy-routes@{}.service", addressing::device(n));
            run(&["systemctl", "start", &unit])?;
        }
        Ok(package)
    }

    /// What its timer does each minute.
    fn refresh(&self) -> Result<()> {
        run(&["systemctl", "start", "refresh-policy-routes@up2.service"]).map(drop)
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let units = ["policy-routes@up1.service", "policy-routes@up2.service"];
        let manager = ["systemd-networkd.socket", "systemd-networkd.service"];
        let stopped = systemctl(&[&["stop"], &units[..], &manager].concat()).and_then(|_| {
            fs::write(NETWORK, &self.original).with_context(|| format!("write {NETWORK}"))
        });
        if let Err(error) = stopped {
            eprintln!("{error:#}");
        }
        for directory in FILES {
            // Only there when something was written.
            drop(fs::remove_dir_all(directory));
        }
    }
}

/// The rules of both families, with the numbers of who made them.
fn rules(lab: &Lab) -> Result<String> {
    Ok(lab.host.ip("-4 -N rule show")? + &lab.host.ip("-6 -N rule show")?)
}

#[test]
fn its_rules_are_used_and_what_they_leave_out_is_answered_too() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    for n in 1..=2 {
        for family in Family::BOTH {
            lab.unconfigure(n, family)?;
        }
    }
    let _cloud = Cloud::around(&lab)?;
    let service = Service::install()?;
    service.prroute(&["setup", "networkd"])?.success()?;
    let package = Package::start()?;
    let (v4, v6) = (address(2, Family::V4), address(2, Family::V6));
    wait::until("the package's rules are there", JOB, || {
        let rules = rules(&lab)?;
        let all = [v4, v6].iter().all(|from| rules.contains(&format!("from {from} lookup 10001")));
        Ok(all.then_some(()))
    })
    .with_context(|| rules(&lab).unwrap_or_default())?;
    let addresses: Vec<IpAddr> =
        (1..=2).flat_map(|n| Family::BOTH.map(|family| address(n, family))).collect();
    let mut usable = String::new();
    wait::until("each address can be used", JOB, || {
        usable = lab.host.ip("-o address show scope global -tentative")?;
        let all = addresses.iter().all(|address| usable.contains(&format!(" {address}/")));
        Ok(all.then_some(()))
    })
    .with_context(|| format!("of {addresses:?} there are\n{usable}"))?;
    let _echo = Echo::start(&lab.host, &addresses, PORT)?;

    systemctl(&["start", "prroute.service"])
        .with_context(|| service.journal(&[]).unwrap_or_default())?;
    let answered = |when: &str| {
        let mut lost = Vec::new();
        wait::until("every question is answered", JOB, || {
            lost = silent(&lab, address)?;
            Ok(lost.is_empty().then_some(()))
        })
        .with_context(|| {
            let rules = rules(&lab).unwrap_or_default();
            format!("{when}: {lost:?}\n{rules}{}", service.journal(&[]).unwrap_or_default())
        })
    };
    answered("prroute started")?;
    let all = rules(&lab)?;
    println!("{all}{}", service.prroute(&["status", "-d"])?.stdout);
    let ours = |rule: &&str| rule.contains("proto 213");
    for part in ["10.0.2.", "2001:db8:2:"] {
        let twice: Vec<&str> = all.lines().filter(ours).filter(|r| r.contains(part)).collect();
        ensure!(twice.is_empty(), "{twice:?}");
    }
    package.refresh()?;
    answered("the package looked again")?;
    run(&["networkctl", "reload"])?;
    answered("networkctl reload")?;
    ensure!(rules(&lab)?.contains("lookup 10001"), "{}", rules(&lab)?);
    let complaints = service.journal(&["--priority=warning"])?;
    ensure!(!complaints.contains("putting back"), "{complaints}");
    Ok(())
}
