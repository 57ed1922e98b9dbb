//! Stands for an administrator's article on asymmetric routing of a server with containers.
//!
//! Two NICs on two firewalled networks, one default route that counts: users and administrators
//! are in different networks, and ping and ask by HTTP whichever address of the host they like.
//! The way round is known: a table per network, and `from` and `iif` rules written by hand.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::own_source::in_both_modes;
use prroute_tests::probe::{self, Outcome, Probe, Question};

const HTTP: Question = Question::Tcp(80);

/// The host and who asks it.
struct TwoNetworks {
    lab: Lab,
    /// A client in each network.
    residents: [Namespace; 2],
}

impl TwoNetworks {
    fn build() -> Result<Self> {
        let lab = Lab::with_services(Topology {
            uplinks: 2,
            shared: false,
            rp_filter: 1,
            routers_know_host: false,
            ..Topology::DEFAULT
        })?;
        let residents = [lab.resident(1)?, lab.resident(2)?];
        Ok(Self { lab, residents })
    }

    /// Who asks, from which address; the remote client has one for each way.
    fn clients(&self, family: Family) -> impl Iterator<Item = (&Namespace, [IpAddr; 2])> {
        let residents =
            self.residents.iter().zip(1..).map(move |(resident, number)| {
                (resident, [addressing::neighbour(number, family); 2])
            });
        let remote = [1, 2].map(|number| addressing::client(number, family));
        residents.chain([(&self.lab.client, remote)])
    }

    /// Every client pings both addresses, and asks both by HTTP.
    fn ask(&self) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for family in Family::BOTH {
            for (client, sources) in self.clients(family) {
                let to = |(source, number): (IpAddr, u8)| {
                    let target = addressing::host(number, family);
                    [HTTP, Question::Ping].map(|question| Probe { question, source, target })
                };
                let probes: Vec<Probe> = sources.into_iter().zip(1..).flat_map(to).collect();
                outcomes.extend(probe::ask_all(client, &probes)?);
            }
        }
        ensure!(outcomes.len() == 24, "{} questions", outcomes.len());
        Ok(outcomes)
    }

    /// Each page tells the address it was asked on, and by whom.
    fn pages_name_who_was_asked(&self) -> Result<()> {
        for family in Family::BOTH {
            for (client, sources) in self.clients(family) {
                for (source, number) in sources.into_iter().zip(1..) {
                    let target = addressing::host(number, family);
                    let url = match target {
                        IpAddr::V4(address) => format!("http://{address}/"),
                        IpAddr::V6(address) => format!("http://[{address}]/"),
                    };
                    let from = source.to_string();
                    let curl = ["curl", "-sSf", "--noproxy", "*", "-m", "30", "--interface", &from];
                    let page = client.run(&[&curl[..], &[&url]].concat())?;
                    ensure!(page == format!("{target} answers {source}\n"), "{url}: {page}");
                }
            }
        }
        Ok(())
    }

    fn forget_neighbours(&self) -> Result<()> {
        let routers = self.lab.routers.iter().map(|router| &router.namespace);
        let everybody = routers.chain(&self.residents).chain([&self.lab.client, &self.lab.host]);
        for namespace in everybody {
            namespace.ip("neigh flush all")?;
        }
        Ok(())
    }

    /// What the blog has typed in, for IPv6 too.
    fn install_rules_by_hand(&self) -> Result<()> {
        for family in Family::BOTH {
            let option = family.option();
            for number in [1, 2] {
                let (device, prefix) =
                    (addressing::device(number), addressing::prefix(number, family));
                let (gateway, address) =
                    (addressing::gateway(number, family), addressing::host(number, family));
                for line in [
                    format!("route add {prefix} dev {device} table {number}"),
                    format!("route add default via {gateway} dev {device} table {number}"),
                    format!("rule add from {address} lookup {number}"),
                    format!("rule add from all iif {device} lookup {number}"),
                ] {
                    self.lab.host.ip(&format!("{option} {line}"))?;
                }
            }
        }
        Ok(())
    }
}

/// The uplink whose network the source is in, or comes through.
fn network(source: IpAddr) -> Option<u8> {
    let family = Family::of(source);
    (1..=2).find(|&number| {
        [addressing::neighbour(number, family), addressing::client(number, family)]
            .contains(&source)
    })
}

/// The firewall of the second network misses the answers that leave by the first one, and strict
/// `rp_filter` drops IPv4 requests before there is an answer.
fn answered_without_prroute(probe: &Probe) -> bool {
    let asked = (1..=2).find(|&n| probe.target == addressing::host(n, Family::of(probe.target)));
    let resident = probe.source == addressing::neighbour(1, Family::of(probe.source))
        || probe.source == addressing::neighbour(2, Family::of(probe.source));
    match (resident, network(probe.source) == asked) {
        // On the link, or over the default route.
        (true, true) => true,
        (false, true) => asked == Some(1),
        // Asked through routers, answered directly: a firewall that sees one half of a TCP
        // connection ends it.
        _ => resident && probe.target.is_ipv6() && probe.question == Question::Ping,
    }
}

#[test]
fn ping_and_http_to_either_address_are_answered_without_a_configuration() -> Result<()> {
    in_both_modes(|own_source| {
        let networks = TwoNetworks::build()?;
        let lab = &networks.lab;
        lab.meet_default_gateway()?;
        probe::expect_answered(&networks.ask()?, answered_without_prroute)
            .context("without prroute")?;

        networks.forget_neighbours()?;
        let before = lab.snapshot()?;
        lab.with_own_source(own_source, |_| {
            networks.forget_neighbours()?;
            probe::expect_all_answered(&networks.ask()?).context("with prroute")?;
            networks.pages_name_who_was_asked()
        })?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn tables_and_rules_that_were_written_by_hand_are_not_doubled() -> Result<()> {
    in_both_modes(|own_source| {
        let networks = TwoNetworks::build()?;
        let lab = &networks.lab;
        networks.install_rules_by_hand()?;
        lab.meet_default_gateway()?;
        let before = lab.snapshot()?;
        let [rules4, rules6] =
            Family::BOTH.map(|family| lab.host.ip(&format!("{} rule show", family.option())));
        let (rules4, rules6) = (rules4?, rules6?);

        let log = lab.prroute()?.own_source(own_source)?.while_running(|_| {
            probe::expect_all_answered(&networks.ask()?)?;
            ensure!(lab.host.ip("-4 rule show")? == rules4, "{}", lab.host.ip("-4 rule show")?);
            ensure!(lab.host.ip("-6 rule show")? == rules6, "{}", lab.host.ip("-6 rule show")?);
            Ok(())
        })?;
        for family in Family::BOTH {
            for number in [1, 2] {
                let address = addressing::host(number, family);
                let said = format!("{address}: already routed by source");
                ensure!(log.contains(&said), "nothing about {address}:\n{log}");
            }
        }
        lab.expect_unchanged_since(&before)
    })
}
