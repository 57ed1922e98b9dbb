//! Stands for an article on a multi-homed EC2 host that monitors a network ("Multi-homed EC2").
//!
//! A collector with a public and a private uplink: it watches the network from outside and is
//! managed from inside. Cloud-init leaves a file with both uplinks, a configuration management
//! system adds another with destinations that are reached from inside.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command::Output;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::prroute::Instance;
use prroute_tests::{probe, services, socket, wait};

const PUBLIC: u8 = 1;
const PRIVATE: u8 = 2;

const HTTP: u16 = 7080;
const ECHO: u16 = 7007;

/// The internal management service.
fn management(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 0, 2, 14].into(),
        Family::V6 => [0x2001, 0xdb8, 0x14, 0, 0, 0, 0, 0x14].into(),
    }
}

/// The internal name server.
fn name_server(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 0, 2, 53].into(),
        Family::V6 => [0x2001, 0xdb8, 0x14, 0, 0, 0, 0, 0x53].into(),
    }
}

/// A service that is reached over either uplink.
fn service(family: Family) -> IpAddr {
    match family {
        Family::V4 => [203, 0, 113, 22].into(),
        Family::V6 => [0x2001, 0xdb8, 0x22, 0, 0, 0, 0, 0x22].into(),
    }
}

/// What Terraform writes by cloud-init: the uplinks by MAC address, as netplan has them, and the
/// way to the name server.
fn terraform() -> String {
    format!(
        "[[uplink]]\nmac = \"{}\"\ntable = 21920\n\n\
         [[uplink]]\nmac = \"{}\"\ntable = 21910\ngateway = [\"{}\", \"{}\"]\nto = [\"{}\", \"{}\"]\n",
        addressing::host_mac(PUBLIC),
        addressing::host_mac(PRIVATE),
        addressing::gateway(PRIVATE, Family::V4),
        addressing::gateway(PRIVATE, Family::V6),
        name_server(Family::V4),
        name_server(Family::V6),
    )
}

/// What Puppet writes later.
fn puppet(destinations: &[IpAddr]) -> String {
    let list: Vec<String> = destinations.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[[uplink]]\nmac = \"{}\"\nto = [{}]\n", addressing::host_mac(PRIVATE), list.join(", "))
}

/// The lab, with the services of both sides.
fn build() -> Result<(Lab, [Echo; 3])> {
    let mut lab = Lab::with_services(Topology {
        uplinks: 2,
        shared: false,
        defaults: Defaults::FirstOnly,
        rp_filter: 1,
        ..Topology::DEFAULT
    })?;
    let inside = &lab.router(PRIVATE).namespace;
    for family in Family::BOTH {
        let (length, at_once) = (addressing::full_length(family), addressing::at_once(family));
        for address in [management(family), name_server(family)] {
            inside.ip(&format!("address add {address}/{length} dev lo {at_once}"))?;
        }
        lab.client.ip(&format!("address add {}/{length} dev lo {at_once}", service(family)))?;
        let client = addressing::stateless_client(family);
        for router in &lab.routers {
            router.namespace.ip(&format!("route add {} via {client}", service(family)))?;
        }
    }
    let servers = [
        services::nginx(inside, &lab.scratch, HTTP)?,
        services::dnsmasq(inside, &Family::BOTH.map(name_server), 53)?,
        services::nginx(&lab.client, &lab.scratch, HTTP)?,
    ];
    let own = |number| Family::BOTH.map(|family| addressing::host(number, family));
    let echoes = [
        Echo::start(&lab.host, &[own(PUBLIC), own(PRIVATE)].concat(), ECHO)?,
        Echo::start(inside, &Family::BOTH.map(management), ECHO)?,
        Echo::start(&lab.client, &Family::BOTH.map(service), ECHO)?,
    ];
    servers.into_iter().for_each(|server| lab.keep_running(server));
    Ok((lab, echoes))
}

/// Seconds without an answer after which there is none.
fn patience() -> String {
    wait::whole_seconds(Duration::from_secs(2)).to_string()
}

/// The page at `target`, which tells who asked; `None` without an answer. `options` may bind.
fn page(lab: &Lab, target: IpAddr, options: &[&str]) -> Result<Option<String>> {
    let url = format!("http://{}/", SocketAddr::new(target, HTTP));
    let patience = patience();
    let curl = ["curl", "-sSf", "--noproxy", "*", "-m", &patience];
    let output = lab.host.output(&[&curl[..], options, &[&url]].concat())?;
    Ok(output.status.success().then_some(output.stdout))
}

/// What an application that binds nothing is told at `target`, over uplink `number`.
fn expect_page(lab: &Lab, target: IpAddr, number: u8) -> Result<()> {
    let page = page(lab, target, &[])?;
    let source = addressing::host(number, Family::of(target));
    ensure!(page == Some(format!("{target} answers {source}\n")), "{target}: {page:?}");
    Ok(())
}

/// What the name server says, as seen by a resolver that binds nothing.
fn dig(lab: &Lab, family: Family) -> Result<Output> {
    let (at, time) = (format!("@{}", name_server(family)), format!("+time={}", patience()));
    lab.host.output(&["dig", "+short", "+tries=1", &time, &at, services::DNS_NAME, "A"])
}

/// Conversations of all kinds: from outside to each uplink, from the host over each.
fn converse(lab: &Lab) -> Result<Vec<TcpStream>> {
    let mut conversations = Vec::new();
    for family in Family::BOTH {
        for number in [PUBLIC, PRIVATE] {
            let (client, own) =
                (addressing::client(number, family), addressing::host(number, family));
            conversations.push(socket::tcp(&lab.client, client, own, ECHO)?);
        }
        let (inside, outside) =
            (addressing::host(PRIVATE, family), addressing::host(PUBLIC, family));
        conversations.push(socket::tcp(&lab.host, inside, management(family), ECHO)?);
        conversations.push(socket::tcp(&lab.host, outside, service(family), ECHO)?);
    }
    Ok(conversations)
}

fn go_on(conversations: &mut [TcpStream]) -> Result<()> {
    conversations
        .iter_mut()
        .try_for_each(|stream| echo::tcp_round(stream, 1000).with_context(|| format!("{stream:?}")))
}

/// The collector's directory of drop-ins.
struct DropIns(PathBuf);

impl DropIns {
    fn of(prroute: &mut Instance<'_>, own_source: OwnSource) -> Result<Self> {
        let path = prroute.with_own_etc()?.join("prroute/conf.d");
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let drop_ins = Self(path);
        drop_ins.write("50-own-source.toml", own_source.line())?;
        Ok(drop_ins)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.0.join(name), text).with_context(|| format!("write {name}"))
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.0.join(name)).with_context(|| format!("remove {name}"))
    }
}

fn expect_refused(prroute: &Instance<'_>, command: &str, complaint: &str) -> Result<()> {
    let Output { status, stdout, stderr, .. } = prroute.output(&[command])?;
    ensure!(status.code() == Some(78), "{command}: {status}\n{stdout}{stderr}");
    let place = "/etc/prroute/conf.d/60-policy-routes.toml:";
    ensure!(stderr.contains(&format!("{place}{complaint}")), "{command}: {stderr}");
    Ok(())
}

#[test]
fn applications_choose_their_uplink_by_source_and_by_destination() -> Result<()> {
    in_both_modes(|own_source| {
        let (lab, _echoes) = build()?;
        let before = lab.snapshot()?;
        for family in Family::BOTH {
            let own = addressing::host(PRIVATE, family).to_string();
            let bound = page(&lab, management(family), &["--interface", &own])?;
            ensure!(bound.is_none(), "without prroute: {bound:?}");
            ensure!(!dig(&lab, family)?.status.success(), "without prroute");
        }

        let mut prroute = lab.prroute()?;
        DropIns::of(&mut prroute, own_source)?.write("55-terraform.toml", &terraform())?;
        prroute.output(&["check"])?.success()?;
        prroute.while_running(|_| {
            for family in Family::BOTH {
                // Bound, as Puppet's agent with `sourceaddress`.
                let target = management(family);
                let own = addressing::host(PRIVATE, family);
                let bound = page(&lab, target, &["--interface", &own.to_string()])?;
                ensure!(bound == Some(format!("{target} answers {own}\n")), "{bound:?}");
                // Not bound: the public uplink is main's default, and knows no way there.
                let unbound = page(&lab, target, &[])?;
                ensure!(unbound.is_none(), "{unbound:?}");
                expect_page(&lab, service(family), PUBLIC)?;
                // Names are asked for inside, and nowhere else.
                let (own, server) = (addressing::host(PUBLIC, family), name_server(family));
                let outside = lab.router(PUBLIC).arrived(own, server)?;
                let answer = dig(&lab, family)?.success()?;
                ensure!(answer.trim() == services::DNS_ADDRESS, "{answer}");
                ensure!(
                    lab.router(PUBLIC).arrived(own, server)? == outside,
                    "a query went outside"
                );
            }
            // Either is reached from its own side.
            probe::expect_all_answered(
                &lab.ask(&probe::to_own_addresses(2, &probe::Question::ALL))?,
            )
        })?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn a_second_file_adds_destinations_while_conversations_go_on() -> Result<()> {
    in_both_modes(|own_source| {
        const FILE: &str = "60-policy-routes.toml";
        let (lab, _echoes) = build()?;
        let before = lab.snapshot()?;
        let mut prroute = lab.prroute()?;
        let drop_ins = DropIns::of(&mut prroute, own_source)?;
        drop_ins.write("55-terraform.toml", &terraform())?;
        prroute.while_running(|prroute| {
            let mut conversations = converse(&lab)?;
            go_on(&mut conversations)?;
            let installed = lab.snapshot()?;

            // The step before a file is used says what is wrong with it; without that step it is refused
            // as a whole.
            let all: Vec<IpAddr> =
                Family::BOTH.into_iter().flat_map(|f| [management(f), service(f)]).collect();
            for (broken, complaint) in [
                (puppet(&all).replace("to =", "two ="), "3: two: unknown key `two`"),
                (puppet(&all).replace(".14\"", ".1400\""), "3: "),
            ] {
                drop_ins.write(FILE, &broken)?;
                expect_refused(prroute, "check", complaint)?;
                expect_refused(prroute, "reload", complaint)?;
                let changes = lab.snapshot()?.changes_since(&installed);
                ensure!(changes.is_empty(), "{broken}{changes}");
            }
            go_on(&mut conversations)?;
            expect_page(&lab, service(Family::V4), PUBLIC)?;

            drop_ins.write(FILE, &puppet(&all))?;
            let checked = prroute.output(&["check"])?.success()?;
            ensure!(checked == "the configuration is valid\n", "{checked}");
            prroute.output(&["reload"])?.success()?;
            for family in Family::BOTH {
                expect_page(&lab, management(family), PRIVATE)?;
                expect_page(&lab, service(family), PRIVATE)?;
                ensure!(dig(&lab, family)?.status.success(), "the first file counts no more");
            }
            // Those over the public uplink stay there, although their destination moved.
            let count = |number: u8| -> Result<u64> {
                let from = |family| (addressing::host(PUBLIC, family), service(family));
                let counts = Family::BOTH.map(|family| {
                    let (own, target) = from(family);
                    lab.router(number).arrived(own, target)
                });
                counts.into_iter().sum()
            };
            let (public, private) = (count(PUBLIC)?, count(PRIVATE)?);
            go_on(&mut conversations)?;
            ensure!(count(PUBLIC)? > public && count(PRIVATE)? == private, "a conversation moved");

            drop_ins.remove(FILE)?;
            prroute.output(&["reload"])?.success()?;
            lab.expect_unchanged_since(&installed)?;
            go_on(&mut conversations)
        })?;
        lab.expect_unchanged_since(&before)
    })
}
