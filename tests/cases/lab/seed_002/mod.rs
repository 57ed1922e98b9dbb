//! Stands for a proposal to Debian for policy routing in networks like AWS VPC (its bug 963826).
//!
//! A cloud instance with several interfaces in one subnet, behind a switch that drops foreign
//! sources: addresses and gateways come by DHCP and router advertisements, interfaces come and go.

mod host;
mod vpc;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::probe::{self, Outcome};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::snapshot::Snapshot;
use prroute_tests::stream::Stream;
use prroute_tests::wait;
use prroute_tests::witness::Witness;

use host::{Host, Plugged};
use vpc::{Nic, Vpc};

const FIRST: Nic = Nic(1);
const SECOND: Nic = Nic(2);
const THIRD: Nic = Nic(3);

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

fn addresses(nics: &[Nic]) -> Result<Vec<IpAddr>> {
    nics.iter().flat_map(|nic| Family::BOTH.map(|family| nic.address(family))).collect()
}

/// Streams from the remote client to both addresses of each NIC.
fn streams(vpc: &Vpc, nics: &[Nic]) -> Result<Vec<Stream>> {
    let start =
        |target: IpAddr| Stream::start(&vpc.client, vpc::remote(Family::of(target)), target);
    addresses(nics)?.into_iter().map(start).collect()
}

fn nothing_lost(streams: Vec<Stream>) -> Result<()> {
    for stream in streams {
        ensure!(stream.lost_nothing()? > 50, "too few to prove anything");
    }
    Ok(())
}

/// What is dropped for its source may have come from an address in its first moment, before its
/// rules; nothing else is.
fn nothing_spoofed(vpc: &Vpc, new: &[IpAddr]) -> Result<()> {
    let of_new = |line: &String| new.iter().any(|address| line.contains(&format!("\"{address}\"")));
    let others: Vec<String> = vpc.spoofed()?.into_iter().filter(|line| !of_new(line)).collect();
    ensure!(others.is_empty(), "foreign sources: {others:#?}");
    Ok(())
}

/// Without rules main says by which interface a neighbour in the subnet is asked for, and the kernel asks
/// with the packet's source unless it is told not to: the cloud drops that.
fn boot(vpc: &Vpc, nics: &[Nic], own_source: OwnSource) -> Result<(Host, Vec<Plugged>)> {
    let (host, plugged) = Host::boot(vpc, nics)?;
    if own_source == OwnSource::Datapath {
        host.namespace.sysctl(&["net.ipv4.conf.all.arp_announce=2"])?;
    }
    Ok((host, plugged))
}

fn instance<'a>(vpc: &Vpc, host: &'a Host) -> Result<Instance<'a>> {
    Instance::new(&host.namespace, &vpc.scratch, &vpc.name)
}

fn is_as_before(vpc: &Vpc, host: &Host, before: &Snapshot) -> Result<()> {
    prroute::expect_unchanged_since(before, || Snapshot::take(&host.namespace, &vpc.name))
}

/// With rules, who tells whether an address was ever without one.
fn witness(host: &Host, own_source: OwnSource) -> Result<Option<Witness<'_>>> {
    (own_source == OwnSource::Rules).then(|| Witness::start(&host.namespace)).transpose()
}

fn every_address_kept_its_rule(witness: Option<Witness<'_>>) -> Result<()> {
    witness.map_or(Ok(()), |witness| witness.account()?.no_address_lost_its_rule())
}

/// With rules, what they do for an address: table, gateway, interface. What the host sends from there
/// leaves right in either mode: the cloud carries nothing else.
fn way(host: &Host, own_source: OwnSource, address: IpAddr) -> Result<Option<(u32, String)>> {
    host.ping_from(address)?;
    (own_source == OwnSource::Rules).then(|| host.way(address)).transpose()
}

#[test]
fn interfaces_are_attached_and_detached_under_traffic() -> Result<()> {
    in_both_modes(|own_source| {
        let vpc = Vpc::build()?;
        let (host, _plugged) = boot(&vpc, &[FIRST, SECOND], own_source)?;
        let targets = addresses(&[FIRST, SECOND])?;
        // Of two equal IPv6 default routes either may be taken.
        let outcomes = vpc.ask(&targets)?;
        let is_remote = |o: &&Outcome| o.probe.source == vpc::remote(Family::of(o.probe.source));
        let first: IpAddr = FIRST.address4().into();
        for outcome in outcomes.iter().filter(is_remote).filter(|o| o.probe.target.is_ipv4()) {
            ensure!(outcome.answered() == (outcome.probe.target == first), "{outcome}");
        }
        let outcomes6 = || outcomes.iter().filter(is_remote).filter(|o| o.probe.target.is_ipv6());
        ensure!(outcomes6().any(|o| !o.answered()), "{}", probe::listing(&outcomes));
        ensure!(!vpc.spoofed()?.is_empty(), "nothing was dropped");

        let before = Snapshot::take(&host.namespace, &vpc.name)?;
        let witness = witness(&host, own_source)?;
        let prroute = instance(&vpc, &host)?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        vpc.forget()?;
        probe::expect_all_answered(&vpc.ask(&targets)?)?;
        let tables = host.tables()?;

        let streams = streams(&vpc, &[FIRST, SECOND])?;
        let mut third = host.plug(&vpc, THIRD)?;
        host.wait_configured(&mut third)?;
        let all = addresses(&Nic::ALL)?;
        vpc.answers(&all)?;
        let with_third = host.tables()?;
        ensure!(
            with_third.len() == tables.len() + usize::from(own_source == OwnSource::Rules),
            "{tables:?}, then {with_third:?}"
        );

        host.unplug(third)?;
        wait::until("the rules of the third are gone", SOON, || {
            Ok((host.tables()? == tables).then_some(()))
        })?;
        for table in with_third.difference(&tables) {
            for option in ["-4", "-6"] {
                let routes = host.namespace.ip(&format!("{option} route show table {table}"));
                // `ip` fails for a table that the kernel never had.
                ensure!(
                    routes.as_ref().map_or(true, String::is_empty),
                    "table {table}: {routes:?}"
                );
            }
        }
        nothing_lost(streams)?;
        nothing_spoofed(&vpc, &addresses(&[THIRD])?)?;
        every_address_kept_its_rule(witness)?;

        daemon.terminate()?;
        prroute.down()?;
        is_as_before(&vpc, &host, &before)
    })
}

/// The cloud moves an interface to another subnet: another address, and another gateway.
#[test]
fn an_interface_is_renumbered_when_its_lease_is_renewed() -> Result<()> {
    in_both_modes(|own_source| {
        let mut vpc = Vpc::build()?;
        let (host, mut plugged) = boot(&vpc, &[FIRST, SECOND], own_source)?;
        let before = host.namespace.ip("rule show")?;
        let witness = witness(&host, own_source)?;
        let prroute = instance(&vpc, &host)?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        vpc.forget()?;
        let (old, new) = (IpAddr::from(SECOND.address4()), IpAddr::from(SECOND.next_address4()));
        vpc.answers(&[old])?;
        let way_of = |address| way(&host, own_source, address);
        let way = way_of(old)?;
        let table = way.as_ref().map(|(table, _)| *table);
        let by = |gateway| table.map(|table| (table, format!("via {gateway} dev ens6")));
        ensure!(way == by("10.0.0.1"), "{way:?}");
        let streams = streams(&vpc, &[FIRST])?;

        // A renewal with the same address changes nothing.
        plugged[1].dhclient.wait_renewed()?;
        ensure!(way_of(old)? == way, "{:?}", way_of(old)?);

        vpc.dhcp.reassign(&SECOND.mac(), SECOND.next_address4())?;
        plugged[1].dhclient.wait_bound(SECOND.next_address4())?;
        vpc.answers(&[new, SECOND.address(Family::V6)?])?;
        let way = way_of(new)?;
        ensure!(way == by("10.0.1.1"), "{way:?}");
        wait::until("the old address has no rule", SOON, || {
            Ok((!host.namespace.ip("rule show")?.contains(&old.to_string())).then_some(()))
        })?;
        nothing_lost(streams)?;
        nothing_spoofed(&vpc, &[new])?;
        vpc.forget()?;
        probe::expect_all_answered(&vpc.ask(&[new])?)?;
        nothing_spoofed(&vpc, &[])?;
        every_address_kept_its_rule(witness)?;
        daemon.terminate()?;
        prroute.down()?;
        ensure!(host.namespace.ip("rule show")? == before, "{}", host.namespace.ip("rule show")?);
        Ok(())
    })
}

#[test]
fn after_a_reboot_with_interfaces_in_another_order_everything_is_as_before() -> Result<()> {
    in_both_modes(|own_source| {
        let vpc = Vpc::build()?;
        let targets = addresses(&[FIRST, SECOND])?;
        let run = |order: &[Nic]| -> Result<_> {
            let (host, _plugged) = boot(&vpc, order, own_source)?;
            let prroute = instance(&vpc, &host)?.own_source(own_source)?;
            let daemon = prroute.run(&[])?;
            vpc.forget()?;
            probe::expect_all_answered(&vpc.ask(&targets)?)
                .with_context(|| format!("{order:?}"))?;
            nothing_spoofed(&vpc, &[])?;
            let indexes = [host.index(FIRST)?, host.index(SECOND)?];
            let way_of = |address| way(&host, own_source, address);
            let ways = targets.iter().copied().map(way_of).collect::<Result<Vec<_>>>()?;
            // The machine goes off, with everything that was in memory.
            daemon.kill()?;
            prroute::remove_leftovers(prroute.name());
            Ok((indexes, ways))
        };
        let (indexes, ways) = run(&[FIRST, SECOND])?;
        let (indexes_then, ways_then) = run(&[SECOND, FIRST])?;
        ensure!(indexes[0] == indexes_then[1] && indexes[1] == indexes_then[0], "{indexes_then:?}");
        ensure!(ways == ways_then, "{ways:?}, then {ways_then:?}");
        Ok(())
    })
}
