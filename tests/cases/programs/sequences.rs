//! Sequences of packets through the programs in the kernel: what leaves, and what is recorded, is what
//! the model says.

use std::net::IpAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prroute::config::Reply;
use prroute_common::address::{address4, address6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_common::syn_cache::SLOTS;
use prroute_common::time::{Ticks, from_ns, seconds};
use prroute_common::uplink::mac_octets;
use prroute_ebpf::wire::parse::protocol;
use prroute_ebpf::wire::{Ipv4, Ipv6, Wire};
use prroute_oracle::corpus;
use prroute_oracle::sequence::{
    self, Host, Key, Moved, Name, Packet, Sequence, Service, Sockets, Table, Tables, UPLINKS,
    World, faults,
};

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::segment;

const GENERATED: usize = 300;
const RESTARTS: usize = 5;

/// In multiples of this no limit is met to the second.
const UNIT: Ticks = 53;
/// Shorter times stay as they are.
const SHORT: Ticks = 4;

/// Of both families: the host's addresses, and the peer's.
const HOST: [[&str; 3]; 2] =
    [["192.0.2.80", "10.0.1.2", "10.0.2.2"], ["2001:db8::80", "fd00:1::2", "fd00:2::2"]];
const PEER: [&str; 2] = ["203.0.113.9", "2001:db8:9::9"];
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The programs, and the model that says what they must do.
struct Both<'a> {
    fixture: &'a mut Fixture,
    model: Tables,
    /// 0 for IPv4.
    family: usize,
    last_hop: bool,
    /// Of the SYN cache: those that connections to owned addresses may have.
    slots: Vec<u32>,
    /// Up to when the kernel's clock was followed.
    now: Ticks,
    tally: &'a mut Tally,
}

/// Of all sequences of a test.
#[derive(Default)]
struct Tally {
    /// Replies.
    moved: usize,
    /// Programs that were loaded again.
    restarts: usize,
}

/// As the programs read the clock.
fn clock() -> Ticks {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap();
    from_ns(Duration::from(now).as_nanos() as u64)
}

impl Both<'_> {
    /// The kernel's clock goes on while a sequence runs, and the model's with it.
    fn follow_clock(&mut self) {
        let now = clock();
        self.model.time_passes(now - self.now);
        self.now = now;
    }

    fn local(&self, service: Service) -> IpAddr {
        HOST[self.family][service as usize].parse().unwrap()
    }

    fn frame(&self, packet: &Packet, comes_in: bool) -> Vec<u8> {
        let local = (self.local(packet.key.service), packet.key.local_port);
        let remote = (PEER[self.family].parse().unwrap(), packet.key.remote_port);
        let (source, destination) = if comes_in { (remote, local) } else { (local, remote) };
        let router = if packet.router == 0 { ROUTER } else { mac_octets(packet.router) };
        let payload = packet.payload as usize;
        segment::packet(packet.kind, source, destination, packet.tcp, payload, router)
    }

    /// What is recorded of a flow: a confirmed entry hides an unconfirmed one.
    fn recorded(&self, key: Key) -> Option<(Flow, bool)> {
        let is_tcp = key.protocol == protocol::TCP;
        match flow_key(self.family, key) {
            FlowKey::V4(key) => {
                let confirmed = if is_tcp { names::FLOWS4 } else { names::DATAGRAMS4 };
                let first = self.fixture.lookup(confirmed, &key).map(|flow| (flow, true));
                first.or_else(|| Some((self.fixture.lookup(names::NEW4, &key)?, false)))
            }
            FlowKey::V6(key) => {
                let confirmed = if is_tcp { names::FLOWS6 } else { names::DATAGRAMS6 };
                let first = self.fixture.lookup(confirmed, &key).map(|flow| (flow, true));
                first.or_else(|| Some((self.fixture.lookup(names::NEW6, &key)?, false)))
            }
        }
    }

    /// Compares what is recorded of a flow.
    fn compare(&self, key: Key) -> Result<(), String> {
        let told = |(flow, confirmed): (Flow, bool)| {
            Some((flow.origin()?, confirmed, flow.uplink(), flow.router(), flow.is_closed()))
        };
        let found = self.recorded(key).and_then(told);
        let expected = self.model.listed(key).and_then(told);
        if found == expected {
            return Ok(());
        }
        Err(format!("recorded is {found:?}, and not {expected:?} as in the model"))
    }

    fn evict_tables(&self, [v4, v6]: [&str; 2]) {
        self.fixture.empty::<FlowKey4>(v4);
        self.fixture.empty::<FlowKey6>(v6);
    }

    fn forget_syns(&self) {
        let mut openings = self.fixture.openings();
        for slot in &self.slots {
            openings.set(*slot, 0, 0).unwrap();
        }
    }
}

impl Host for Both<'_> {
    fn comes_in(&mut self, uplink: u16, packet: &Packet) -> Result<(), String> {
        let frame = self.frame(packet, true);
        self.follow_clock();
        self.model.comes_in(uplink, packet)?;
        let code = self.fixture.ingress(uplink.into(), &frame);
        if code != PASS {
            return Err(format!("ingress returns {code}"));
        }
        self.compare(packet.key)
    }

    fn leaves(&mut self, by: u16, packet: &Packet) -> Result<Option<Moved>, String> {
        let frame = self.frame(packet, false);
        self.follow_clock();
        let moved = self.model.leaves(by, packet)?;
        let code = self.fixture.egress(by.into(), &frame);
        let is_elsewhere = moved.is_some_and(|moved| moved.uplink != by);
        self.tally.moved += usize::from(is_elsewhere);
        let expected = if is_elsewhere { REDIRECT } else { PASS };
        // In last-hop mode what leaves there already may get another router.
        let is_readdressed = self.last_hop && !is_elsewhere;
        if code != expected && !is_readdressed {
            return Err(format!("egress by {by} returns {code}, and the model says {moved:?}"));
        }
        self.compare(packet.key)?;
        Ok(moved)
    }

    fn time_passes(&mut self, ticks: Ticks) {
        let ticks = if ticks <= SHORT { ticks } else { ticks.next_multiple_of(UNIT) };
        self.model.time_passes(ticks);
        self.fixture.age_with(ticks, &self.slots);
    }

    fn link(&mut self, uplink: u16, is_up: bool) {
        self.model.link(uplink, is_up);
        self.fixture.uplinks[usize::from(uplink) - 1].device.up = is_up;
        self.fixture.sync();
    }

    fn evict(&mut self, table: Table) {
        self.model.evict(table);
        match table {
            Table::Flows => self.evict_tables([names::FLOWS4, names::FLOWS6]),
            Table::Datagrams => self.evict_tables([names::DATAGRAMS4, names::DATAGRAMS6]),
            Table::New => self.evict_tables([names::NEW4, names::NEW6]),
            Table::Syns => self.forget_syns(),
        }
    }

    fn restart(&mut self) {
        // Takes seconds.
        if self.tally.restarts < RESTARTS {
            self.tally.restarts += 1;
            self.fixture.load_again();
        }
    }
}

/// A key as the maps of its family have it.
enum FlowKey {
    V4(FlowKey4),
    V6(FlowKey6),
}

fn flow_key(family: usize, key: Key) -> FlowKey {
    let (local, remote): (IpAddr, IpAddr) =
        (HOST[family][key.service as usize].parse().unwrap(), PEER[family].parse().unwrap());
    let ([l0, l1], [r0, r1]) = (key.local_port.to_be_bytes(), key.remote_port.to_be_bytes());
    let ports = u32::from_ne_bytes([l0, l1, r0, r1]);
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let (local, remote) = (address4(local.octets()), address4(remote.octets()));
            FlowKey::V4(Ipv4::key(local, remote, ports, key.protocol))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let (local, remote) = (address6(local.octets()), address6(remote.octets()));
            FlowKey::V6(Ipv6::key(local, remote, ports, key.protocol))
        }
        _ => panic!("{local} and {remote} are of different families"),
    }
}

/// The slots of the SYN cache that connections to owned addresses have.
fn slots(fixture: &Fixture, family: usize) -> Vec<u32> {
    let openings = fixture.openings();
    let secret = |index: usize| {
        let word = openings.get(&(SLOTS + index as u32 / 2), 0).unwrap();
        if index.is_multiple_of(2) { word as u32 } else { (word >> 32) as u32 }
    };
    let names = [Service::Owned1, Service::Owned2]
        .into_iter()
        .flat_map(|service| (0..2).map(move |port| Name { service, port }));
    names
        .flat_map(|name| [name.tcp(), name.dial()])
        .map(|key| match flow_key(family, key) {
            FlowKey::V4(key) => Ipv4::syn_slot(&key, secret).index,
            FlowKey::V6(key) => Ipv6::syn_slot(&key, secret).index,
        })
        .collect()
}

/// Runs a sequence on tables that are empty, for both families.
fn replay(fixture: &mut Fixture, sequence: &Sequence, told: &str, tally: &mut Tally) {
    for family in 0..HOST.len() {
        for uplink in UPLINKS {
            let device = &mut fixture.uplinks[usize::from(uplink) - 1].device;
            device.up = true;
            device.reply = if sequence.last_hop { Reply::LastHop } else { Reply::Auto };
        }
        fixture.sync();
        fixture.forget_flows();
        let slots = slots(fixture, family);
        // Nothing is exposed any more.
        fixture.age_with(seconds(86_400), &slots);
        let both = Both {
            fixture,
            model: Tables::new(Sockets::None, sequence.last_hop),
            family,
            last_hop: sequence.last_hop,
            slots,
            now: clock(),
            tally,
        };
        both.forget_syns();
        let mut world = World::unjudged(both, sequence.last_hop);
        for (number, event) in sequence.events.iter().enumerate() {
            if let Err(fault) = world.happens(*event) {
                let before = &sequence.events[..=number];
                panic!("{told}, family {family}: {fault}\n{before:#?}");
            }
        }
    }
}

#[test]
fn the_programs_go_through_the_faults_sequences_as_the_model_does() {
    with_fixture(|fixture| {
        let mut tally = Tally::default();
        for (name, sequence) in faults::all() {
            replay(fixture, &sequence, name, &mut tally);
        }
    });
}

#[test]
fn the_programs_go_through_the_corpus_sequences_as_the_model_does() {
    with_fixture(|fixture| {
        let mut tally = Tally::default();
        for (name, input) in corpus::sequences().unwrap() {
            replay(fixture, &sequence::decode(&input), &name, &mut tally);
        }
    });
}

#[test]
fn the_programs_go_through_generated_sequences_as_the_model_does() {
    with_fixture(|fixture| {
        let mut runner = TestRunner::deterministic();
        let mut tally = Tally::default();
        for number in 0..GENERATED {
            let input = sequence::generated().new_tree(&mut runner).unwrap().current();
            let sequence = sequence::decode(&input);
            replay(fixture, &sequence, &format!("generated {number}"), &mut tally);
        }
        let moved = tally.moved;
        assert!(moved > 100, "{moved} replies were moved: the sequences say nothing");
    });
}
