//! The maps take no more memory than they may, by the kernel's own accounting, and what is not in use
//! takes next to nothing until it is.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{HashMap, Map, MapData, MapInfo};
use nix::sys::signal::Signal;
use nix::sys::utsname::uname;
use prroute::datapath::sizes::{Demand, MOST_BYTES, Machine};
use prroute::datapath::{LoadOptions, Pins, Programs, Sizes, memory};
use prroute::state::families::Families;
use prroute_common::address::Address6;
use prroute_common::udp_origin::{HostPeer, Peer};
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::addressing::{self, Family};
use prroute_tests::cgroup::Limited;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self as instance, Daemon, Instance};
use prroute_tests::{netns, socket, wait};

const PORT: u16 = 7009;
/// Programs are loaded meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
const EVERYTHING: Demand = Demand { flows: None, families: Families::BOTH, udp_source: true };

fn lab() -> Result<Lab> {
    Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })
}

/// `memlock` of every map that a daemon has, each once.
fn bytes_of_maps(daemon: &Daemon) -> Result<u64> {
    let directory = format!("/proc/{}/fdinfo", daemon.process.pid());
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("list {directory}"))? {
        // One that was closed meanwhile is none of a map.
        let Ok(text) = fs::read_to_string(entry.context("list descriptors")?.path()) else {
            continue;
        };
        let number = |field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        if let (Some(id), Some(bytes)) = (number("map_id"), number("memlock")) {
            maps.insert(id, bytes);
        }
    }
    ensure!(maps.len() >= names::pinned_maps().count(), "{} maps", maps.len());
    Ok(maps.values().sum())
}

fn entries(prroute: &Instance<'_>, name: &str) -> Result<u32> {
    let layout = instance::pins(prroute.name()).join(format!("v{LAYOUT_VERSION}"));
    let pin = layout.join(name);
    let info = MapInfo::from_pin(&pin).with_context(|| format!("open {}", pin.display()))?;
    Ok(info.max_entries())
}

fn ensure_as_planned(taken: u64, planned: &Sizes) -> Result<()> {
    let estimate = planned.bytes();
    println!("{taken} bytes; planned: {estimate}");
    ensure!(taken <= estimate + estimate / 10, "{taken} bytes, more than {planned}");
    let is_whole = accounts_for_all()?;
    ensure!(taken >= estimate - estimate / 10 || !is_whole, "{taken} bytes, less than {planned}");
    Ok(())
}

/// A machine may be so small that the smallest tables which work take more.
fn ensure_within_limit(taken: u64, planned: &Sizes, machine: Machine) -> Result<()> {
    let smallest = Sizes::plan(Machine { memory: 0, ..machine }, EVERYTHING);
    let is_within = taken <= MOST_BYTES && taken <= machine.memory / 100;
    ensure!(is_within || *planned == smallest, "{taken} bytes: {machine:?}");
    Ok(())
}

/// Before 6.4 (`map_mem_usage`) the kernel says what keys and values take, without what is around them.
fn accounts_for_all() -> Result<bool> {
    let kernel = uname().context("ask for the kernel's release")?;
    let release = kernel.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("no version in {release}")
    };
    Ok((major, minor) >= (6, 4))
}

#[test]
fn all_maps_together_take_one_per_cent_of_memory_and_93_mb_at_most() -> Result<()> {
    let lab = lab()?;
    let log = lab.prroute()?.while_running(|prroute| {
        let taken = bytes_of_maps(&prroute.daemon)?;
        let machine = memory::machine();
        let planned = Sizes::plan(machine, EVERYTHING);
        ensure_as_planned(taken, &planned)?;
        ensure_within_limit(taken, &planned, machine)
    })?;
    ensure!(log.contains("INFO tables: "), "{log}");
    Ok(())
}

#[test]
fn the_configuration_may_ask_for_small_tables() -> Result<()> {
    let lab = lab()?;
    lab.with_configuration("flows = 2048\n", |prroute| {
        let demand = Demand { flows: Some(2048), ..EVERYTHING };
        ensure_as_planned(bytes_of_maps(&prroute.daemon)?, &Sizes::plan(memory::machine(), demand))
    })
}

#[test]
fn a_configuration_that_asks_for_more_is_warned_of() -> Result<()> {
    let lab = lab()?;
    let mut prroute = lab.prroute()?;
    let mut warnings = |flows: u32| -> Result<String> {
        let path = prroute.configure(&format!("flows = {flows}\n"))?;
        let checked = prroute.output(&["check", &path.display().to_string()])?;
        ensure!(checked.status.success(), "it is valid all the same: {checked:?}");
        Ok(checked.stderr)
    };
    let warned = warnings(1 << 24)?;
    ensure!(warned.contains("more than 1 % of this machine's memory"), "{warned}");
    let warned = warnings(2048)?;
    ensure!(!warned.contains("1 %"), "{warned}");
    Ok(())
}

/// What the unit's `MemoryMax=`, or a container, leaves to the daemon is its memory.
#[test]
fn a_limit_of_the_control_group_makes_tables_smaller() -> Result<()> {
    const LIMIT: u64 = 1 << 30;
    let lab = lab()?;
    let group = Limited::create(lab.name(), LIMIT)?;
    lab.prroute()?
        .wrapped(group.wrapper())
        .while_running(|prroute| {
            let here = memory::machine();
            let machine = Machine { memory: LIMIT.min(here.memory), ..here };
            let planned = Sizes::plan(machine, EVERYTHING);
            let taken = bytes_of_maps(&prroute.daemon)?;
            ensure_as_planned(taken, &planned)?;
            ensure_within_limit(taken, &planned, machine)
        })
        .map(drop)
}

/// The tables have to find room in it, whatever the machine has. The group is named as a unit's is.
#[test]
fn more_flows_than_a_unit_has_room_for_are_refused_and_the_limit_is_named() -> Result<()> {
    let lab = lab()?;
    let unit = format!("{}.service", lab.name());
    let group = Limited::create(&unit, 512 << 20)?;
    let mut prroute = lab.prroute()?.wrapped(group.wrapper());
    prroute.configure("flows = 1100000\n")?;
    let refused = prroute.output(&["run"])?;
    ensure!(refused.status.code() == Some(78), "{refused:?}");
    let advice = format!("raise MemoryMax= of {unit}");
    ensure!(refused.stderr.contains(&advice), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_family_that_comes_into_use_gets_its_tables_and_the_other_one_forgets_nothing() -> Result<()> {
    let lab = lab()?;
    for number in 1..=2 {
        lab.unconfigure(number, Family::V6)?;
    }
    let shared = addressing::shared(Family::V6);
    lab.host.ip(&format!("-6 address del {shared}/128 dev lo"))?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let unused = entries(&prroute, names::FLOWS6)?;
    ensure!(unused < 2048, "{unused} entries of IPv6");
    let ipv4 = Demand { families: Families { v4: true, v6: false }, ..EVERYTHING };
    ensure_as_planned(bytes_of_maps(&daemon)?, &Sizes::plan(memory::machine(), ipv4))?;

    let target = addressing::shared(Family::V4);
    let _echo = Echo::start(&lab.host, &[target], PORT)?;
    let client = socket::udp(&lab.client, addressing::client(2, Family::V4), 0)?;
    let ask = || echo::udp_round(&client, (target, PORT).into(), 64);
    for _ in 0..3 {
        ensure!(ask()?, "no echo");
    }
    let before = entries(&prroute, names::FLOWS4)?;
    let address = addressing::host(1, Family::V6);
    lab.host.ip(&format!("-6 address add {address}/64 dev up1 nodad"))?;
    wait::until("there are tables for IPv6", PATIENCE, || {
        ensure!(ask()?, "no echo while the programs are replaced");
        Ok((entries(&prroute, names::HOST_PEERS6)? >= 2048).then_some(()))
    })?;
    ensure!(entries(&prroute, names::FLOWS4)? == before, "other tables of IPv4");
    let known = prroute.flows(|flow| flow["confirmed"] == true)?;
    ensure!(known.len() == 1, "{known:#?}");
    ensure!(ask()?, "no echo");
    let log = daemon.terminate()?;
    ensure!(!log.contains("WARN"), "{log}");

    // The next daemon goes on with them.
    let daemon = prroute.run(&[])?;
    ensure!(ask()?, "no echo after a restart");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn tables_for_udp_servers_come_with_the_configuration_that_wants_them() -> Result<()> {
    let lab = lab()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("udp-source = false\n")?;
    let daemon = prroute.run(&[])?;
    let tables = [names::UDP_ORIGIN4, names::UDP_ORIGIN6, names::HOST_PEERS4, names::HOST_PEERS6];
    for name in tables {
        let unused = entries(&prroute, name)?;
        ensure!(unused < 2048, "{unused} entries in {name}");
    }
    prroute.configure("udp-source = true\n")?;
    // `prroute reload` would not wait for an emulated processor.
    daemon.process.signal(Signal::SIGHUP)?;
    for name in tables {
        wait::until("the tables are in use", PATIENCE, || {
            Ok((entries(&prroute, name)? >= 2048).then_some(()))
        })?;
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// What came while the larger tables were made is taken along.
#[test]
fn entries_of_an_outgrown_table_are_carried_over() -> Result<()> {
    type Peers = HashMap<MapData, [u8; size_of::<Peer<Address6>>()], [u8; size_of::<HostPeer>()]>;
    instance::ensure_bpffs()?;
    let pins = Removed(Pins::of(&netns::unique_name().parse().map_err(anyhow::Error::msg)?));
    let open = || -> Result<(Peers, u32)> {
        let map = MapData::from_pin(pins.0.map(names::HOST_PEERS6)).context("open the table")?;
        let entries = map.info().context("ask about the table")?.max_entries();
        Ok((Peers::try_from(Map::LruHashMap(map)).context("open the table")?, entries))
    };
    let load = |udp_source| {
        let demand = Demand { flows: Some(2048), udp_source, ..EVERYTHING };
        let options = LoadOptions {
            sizes: Sizes::plan(memory::machine(), demand),
            log_packets: false,
            observe: false,
            netns_cookie: 0,
            redirect_note: 0,
            client_ports: (1, 2),
        };
        Programs::load(&pins.0, options).context("load the programs")
    };
    let (key, value) = ([1; _], [2; _]);
    let first = load(false)?;
    let (mut peers, entries) = open()?;
    ensure!(entries < 2048, "{entries} entries, and not in use");
    peers.insert(key, value, 0).context("write an entry")?;
    let second = load(true)?;
    let (peers, entries) = open()?;
    ensure!(entries >= 2048, "{entries} entries");
    ensure!(peers.get(&key, 0).context("read the entry")? == value);
    // In use, it keeps its size also where it is not used any more.
    let third = load(false)?;
    ensure!(open()?.1 == entries, "another size");
    drop((first, second, third));
    Ok(())
}

/// Pins that are removed on drop.
struct Removed(Pins);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove() {
            eprintln!("{error}");
        }
    }
}
