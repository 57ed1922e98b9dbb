//! Two uplinks in a network namespace of the thread's own, with the programs loaded on tables
//! that the test fills. Packets are run through them by BPF_PROG_TEST_RUN: they go nowhere, what
//! the program returns and records is all there is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions};
use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use prroute::config::Reply;
use prroute::datapath::counters::Counters;
use prroute::datapath::flows::{self, FlowRecord};
use prroute::datapath::sizes::Demand;
use prroute::datapath::{LoadOptions, Pins, Programs, Sizes, Tables, memory};
use prroute::state::uplink::{
    Discovered, Ifindex, LocalAddress, OwnSources, PerFamily, Uplink, UplinkId, WayOut,
};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_common::reason::Reason;
use prroute_common::syn_cache::SLOTS;
use prroute_common::uplink::IFINDEX_SLOTS;
use prroute_tests::capability;

/// TCX_NEXT: the packet goes on as if the program were not there.
pub(crate) const PASS: i32 = -1;
/// TC_ACT_SHOT.
pub(crate) const DROP: i32 = 2;
/// What a redirected packet carries to the next egress program.
pub(crate) const NOTE: u64 = 5 << 32 | 7;
/// TC_ACT_REDIRECT.
pub(crate) const REDIRECT: i32 = 7;
/// Who speaks from these is a client.
pub(super) const CLIENT_PORTS: (u16, u16) = (32_768, 60_999);

/// Runs a test on a thread of its own: a network namespace and capabilities belong to threads.
pub(crate) fn with_fixture(test: impl FnOnce(&mut Fixture) + Send + 'static) {
    with(Fixture::new, test);
}

pub(crate) fn with(make: fn() -> Fixture, test: impl FnOnce(&mut Fixture) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let mut fixture = make();
        test(&mut fixture);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) struct Fixture {
    pins: Pinned,
    options: LoadOptions,
    programs: Programs,
    tables: Tables,
    pub(crate) uplinks: Vec<Uplink>,
    pub(crate) locals: Vec<LocalAddress>,
    /// Local by a route.
    pub(crate) prefixes: Vec<IpNet>,
}

/// Pins that go with the test, also when it cannot be set up.
struct Pinned(Pins);

impl std::ops::Deref for Pinned {
    type Target = Pins;

    fn deref(&self) -> &Pins {
        &self.0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove() {
            eprintln!("{error}");
        }
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn mac(interface: &str) -> [u8; 6] {
    // The thread's own view: /sys would still show the namespace it was mounted in.
    let output =
        Command::new("ip").args(["-br", "link", "show", "dev", interface]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = text.split_whitespace().nth(2).unwrap();
    let mut bytes = [0; 6];
    for (byte, part) in bytes.iter_mut().zip(address.split(':')) {
        *byte = u8::from_str_radix(part, 16).unwrap();
    }
    bytes
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_note(NOTE)
    }

    /// `note` is what a redirected packet carries; 0 for nothing.
    pub(crate) fn with_note(note: u64) -> Self {
        Self::made(note, |_| None)
    }

    /// Two uplinks whose interface indexes have the same place in the table.
    pub(crate) fn with_colliding_indexes() -> Self {
        Self::made(NOTE, |first| first.map(|first| first + IFINDEX_SLOTS))
    }

    /// `index` says which index an uplink's device gets, after that of the first one.
    fn made(note: u64, index: impl Fn(Option<u32>) -> Option<u32>) -> Self {
        prroute_tests::prroute::ensure_bpffs().unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        let mut uplinks: Vec<Uplink> = Vec::new();
        for id in 1..=2u16 {
            let name = format!("up{id}");
            let first = uplinks.first().map(|uplink| uplink.device.ifindex.0);
            let index = index(first).map_or(String::new(), |index| format!(" index {index}"));
            ip(&format!("link add {name}{index} type veth peer name peer{id}"));
            ip(&format!("link set {name} up"));
            ip(&format!("link set peer{id} up"));
            let ifindex = nix::net::if_::if_nametoindex(name.as_str()).unwrap();
            uplinks.push(Uplink {
                id: UplinkId(id),
                generation: 1,
                device: Discovered {
                    ifindex: Ifindex(ifindex),
                    mac: Some(mac(&name)),
                    name,
                    mtu: 1500,
                    up: true,
                    addresses: vec![],
                    on_link: vec![format!("10.0.{id}.0/24").parse().unwrap()],
                    main_routes: vec![],
                    own_source: OwnSources::default(),
                    gateways: vec![],
                    stacked: vec![],
                    subnet_gateways: vec![],
                    source_routes: Vec::new(),
                    undecided: vec![],
                    way_out: PerFamily { v4: format!("10.0.{id}.1"), v6: format!("fd00:{id}::1") }
                        .map(|gateway| WayOut {
                            gateway: Some(gateway.parse().unwrap()),
                            usable: true,
                            resolved: true,
                            ..WayOut::default()
                        }),
                    reply: Reply::Auto,
                    hold: false,
                    table: None,
                    to: Vec::new(),
                },
            });
        }
        let owned = |address: &str, id| LocalAddress {
            address: address.parse().unwrap(),
            owner: Some(UplinkId(id)),
        };
        let shared =
            |address: &str| LocalAddress { address: address.parse().unwrap(), owner: None };
        let locals = vec![
            owned("10.0.1.2", 1),
            owned("fd00:1::2", 1),
            owned("10.0.2.2", 2),
            owned("fd00:2::2", 2),
            shared("192.0.2.80"),
            shared("2001:db8::80"),
        ];
        // Exactly what the unit grants: the verifier treats programs by it.
        capability::keep_the_units().unwrap();
        Self::load(uplinks, locals, note)
    }

    /// Programs and tables in the namespace and with the capabilities that the thread has.
    fn load(uplinks: Vec<Uplink>, locals: Vec<LocalAddress>, redirect_note: u64) -> Self {
        static INSTANCES: AtomicU32 = AtomicU32::new(0);
        let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let name = format!("programs-{}-{number}", std::process::id());
        let pins = Pinned(Pins::of(&name.parse().unwrap()));
        let options = LoadOptions {
            sizes: Sizes::plan(memory::machine(), Demand::of_flows(4096)),
            log_packets: false,
            netns_cookie: 0,
            redirect_note,
            client_ports: CLIENT_PORTS,
        };
        let programs = Programs::load(&pins, options).unwrap();
        let tables = Tables::open(&pins).unwrap();
        let prefixes = Vec::new();
        let mut fixture = Self { pins, options, programs, tables, uplinks, locals, prefixes };
        fixture.sync();
        fixture
    }

    /// Loads the programs again, on the maps that are there: as another daemon does.
    pub(crate) fn load_again(&mut self) {
        self.programs = Programs::load(&self.pins, self.options).unwrap();
    }

    /// Writes the tables again after a change of `uplinks` or `locals`.
    pub(crate) fn sync(&mut self) {
        self.tables.sync(&self.uplinks, &self.locals, &self.prefixes).unwrap();
    }

    pub(crate) fn ingress(&mut self, uplink: usize, frame: &[u8]) -> i32 {
        self.run_often(names::PROGRAM_INGRESS, uplink, frame, 1)
    }

    pub(crate) fn egress(&mut self, uplink: usize, frame: &[u8]) -> i32 {
        self.run_often(names::PROGRAM_EGRESS, uplink, frame, 1)
    }

    /// What a program returns for a packet on an uplink, when it has run `times` times on it.
    pub(crate) fn run_often(
        &mut self,
        program: &'static str,
        uplink: usize,
        frame: &[u8],
        times: u32,
    ) -> i32 {
        let context = Context { ifindex: self.ifindex(uplink), ..Context::default() };
        self.run(program, uplink, frame, &context, times)
    }

    /// Egress of a packet whose control block begins with `note`.
    pub(crate) fn egress_noted(&mut self, uplink: usize, frame: &[u8], note: u64) -> i32 {
        let context = Context { ifindex: self.ifindex(uplink), note, ..Context::default() };
        self.run(names::PROGRAM_EGRESS, uplink, frame, &context, 1)
    }

    /// Egress of a packet that came in through an interface that is no uplink.
    pub(crate) fn egress_forwarded(&mut self, uplink: usize, frame: &[u8]) -> i32 {
        let context =
            Context { ifindex: self.ifindex(uplink), ingress_ifindex: 1, ..Context::default() };
        self.run(names::PROGRAM_EGRESS, uplink, frame, &context, 1)
    }

    /// Egress of a packet that came in through the uplink `from`.
    pub(crate) fn egress_transit(&mut self, from: usize, uplink: usize, frame: &[u8]) -> i32 {
        let context = Context {
            ifindex: self.ifindex(uplink),
            ingress_ifindex: self.ifindex(from),
            ..Context::default()
        };
        self.run(names::PROGRAM_EGRESS, uplink, frame, &context, 1)
    }

    /// Egress of a super-packet with `payload` bytes per segment.
    pub(crate) fn egress_gso(&mut self, uplink: usize, frame: &[u8], payload: u32) -> i32 {
        let context = Context {
            ifindex: self.ifindex(uplink),
            gso_size: payload,
            gso_segs: 2,
            ..Context::default()
        };
        self.run(names::PROGRAM_EGRESS, uplink, frame, &context, 1)
    }

    /// Egress, and the packet as the program leaves it.
    pub(crate) fn egress_rewritten(&mut self, uplink: usize, frame: &[u8]) -> (i32, Vec<u8>) {
        let context = Context { ifindex: self.ifindex(uplink), ..Context::default() }.bytes();
        let mut written = vec![0; 4096];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut written);
        options.ctx_in = Some(&context);
        let result = self.programs.get(names::PROGRAM_EGRESS).unwrap().test_run(options).unwrap();
        written.truncate(result.data_size_out as usize);
        (result.return_value as i32, written)
    }

    /// Ingress, and the packet as the program leaves it.
    pub(crate) fn ingress_rewritten(&mut self, uplink: usize, frame: &[u8]) -> (i32, Vec<u8>) {
        let mut frame = frame.to_vec();
        frame[..6].copy_from_slice(&self.uplinks[uplink - 1].device.mac.unwrap());
        let context = Context { ifindex: self.ifindex(uplink), ..Context::default() }.bytes();
        let mut written = vec![0; 4096];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.data_out = Some(&mut written);
        options.ctx_in = Some(&context);
        let result = self.programs.get(names::PROGRAM_INGRESS).unwrap().test_run(options).unwrap();
        written.truncate(result.data_size_out as usize);
        (result.return_value as i32, written)
    }

    fn ifindex(&self, uplink: usize) -> u32 {
        self.uplinks[uplink - 1].device.ifindex.0
    }

    /// The frame's destination is made the interface's own address: ingress looks at nothing
    /// else, and egress does not care.
    fn run(
        &mut self,
        program: &'static str,
        uplink: usize,
        frame: &[u8],
        context: &Context,
        times: u32,
    ) -> i32 {
        let mut frame = frame.to_vec();
        if frame[..6] == super::frames::TO_HOST {
            frame[..6].copy_from_slice(&self.uplinks[uplink - 1].device.mac.unwrap());
        }
        let context = context.bytes();
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = times;
        self.programs.get(program).unwrap().test_run(options).unwrap().return_value as i32
    }

    /// Where a map of the programs is pinned.
    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        self.pins.map(name)
    }

    pub(crate) fn flows(&self) -> Vec<FlowRecord> {
        flows::read(&self.pins).unwrap()
    }

    /// Empties the flow tables.
    pub(crate) fn forget_flows(&self) {
        for name in [names::FLOWS4, names::DATAGRAMS4, names::NEW4] {
            self.empty::<FlowKey4>(name);
        }
        for name in [names::FLOWS6, names::DATAGRAMS6, names::NEW6] {
            self.empty::<FlowKey6>(name);
        }
    }

    /// Slots of the SYN cache that hold something.
    pub(crate) fn noted(&self) -> Vec<u32> {
        let openings = self.openings();
        (0..SLOTS).filter(|slot| openings.get(slot, 0).unwrap() != 0).collect()
    }

    pub(crate) fn forget_openings(&self) {
        let mut openings = self.openings();
        for slot in self.noted() {
            openings.set(slot, 0, 0).unwrap();
        }
    }

    pub(crate) fn openings(&self) -> Array<MapData, u64> {
        let map = MapData::from_pin(self.pins.map(names::SYN_CACHE)).unwrap();
        Map::Array(map).try_into().unwrap()
    }

    /// What one flow table has for a key.
    pub(crate) fn lookup<K: aya::Pod>(&self, name: &str, key: &K) -> Option<Flow> {
        let map = Map::LruHashMap(MapData::from_pin(self.pins.map(name)).unwrap());
        let map: HashMap<MapData, K, Flow> = map.try_into().unwrap();
        map.get(key, 0).ok()
    }

    /// Empties one flow table.
    pub(crate) fn empty<K: aya::Pod>(&self, name: &str) {
        let map = Map::LruHashMap(MapData::from_pin(self.pins.map(name)).unwrap());
        let mut map: HashMap<MapData, K, Flow> = map.try_into().unwrap();
        let keys: Vec<K> = map.keys().map(Result::unwrap).collect();
        for key in keys {
            map.remove(&key).unwrap();
        }
    }

    /// Every counter of an uplink.
    pub(crate) fn counts(&self, uplink: u16) -> Vec<(Reason, u64)> {
        Counters::open(&self.pins).unwrap().of(UplinkId(uplink)).unwrap()
    }

    pub(crate) fn count(&self, uplink: u16, reason: Reason) -> u64 {
        let counters = self.counts(uplink);
        counters.iter().find(|(counted, _)| *counted == reason).unwrap().1
    }
}

/// The fields of `__sk_buff` that the kernel lets a test run set; the rest is zero.
#[derive(Default)]
struct Context {
    ingress_ifindex: u32,
    ifindex: u32,
    note: u64,
    gso_segs: u32,
    gso_size: u32,
}

impl Context {
    fn bytes(&self) -> Vec<u8> {
        // Offsets in include/uapi/linux/bpf.h, `struct __sk_buff`.
        const SIZE: usize = 192;
        let mut bytes = vec![0; SIZE];
        for (offset, value) in [
            (36, self.ingress_ifindex),
            (40, self.ifindex),
            (48, self.note as u32),
            (52, (self.note >> 32) as u32),
            (164, self.gso_segs),
            (176, self.gso_size),
        ] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }
}
