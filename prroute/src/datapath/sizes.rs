//! How many entries each table gets: from the machine's memory, or from the number of flows that
//! the configuration names. A table that is not in use takes next to nothing.
//!
//! Where memory decides, the tables grow from their smallest size in a fixed order, each to twice
//! its size, for as long as all together stay within the limit. So more memory never makes a table
//! smaller.

mod followed;

use std::fmt;

use prroute_common::address::{Address4, Address6, MAX_ADDRESSES};
use prroute_common::flow::{
    Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict, MAX_DEFAULT_FLOWS, MIN_FLOWS_PER_CPU,
    confirmed_entries, fragmented_packets, unconfirmed_entries,
};
use prroute_common::observe::WrongUplinkKey;
use prroute_common::reason::REASON_SLOTS;
use prroute_common::udp_origin::{HostPeer, PORT_WORDS, Peer, UdpOrigin};
use prroute_common::uplink::{IFINDEX_SLOTS, IfindexSlot, MAX_FACTS, MAX_UPLINKS, UplinkFacts};
use prroute_common::{names, observe, syn_cache, udp_origin};

use crate::state::families::Families;
use crate::state::observed::Family;

/// All maps together, at most, in bytes.
pub const MOST_BYTES: u64 = 93_000_000;

/// Of the machine's memory, all maps may have this part.
pub(super) const PART_OF_MEMORY: u64 = 100;

/// Entries of a table that is not in use. Fewer than any table in use has, and enough for what comes
/// before the table is made anew.
pub const UNUSED: u32 = 128;

/// The machine, as far as sizes depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes that it has, or that this process may have of it.
    pub memory: u64,
    /// Possible processors.
    pub cpus: u32,
}

impl Machine {
    /// What all maps together may take, in bytes.
    pub fn limit(self) -> u64 {
        self.part_of_memory().min(MOST_BYTES)
    }

    /// One per cent, in bytes.
    pub const fn part_of_memory(self) -> u64 {
        self.memory / PART_OF_MEMORY
    }

    /// The fewest entries of a table in use: a smaller LRU map evicts while nearly empty.
    fn fewest(self) -> u32 {
        MIN_FLOWS_PER_CPU.saturating_mul(self.cpus.max(1))
    }
}

/// What the tables are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Flows per family, where the configuration names them.
    pub flows: Option<u32>,
    pub families: Families,
    /// Wildcard UDP servers are helped.
    pub udp_source: bool,
}

impl Demand {
    /// So many flows of everything there is.
    pub const fn of_flows(flows: u32) -> Self {
        Self { flows: Some(flows), families: Families::BOTH, udp_source: true }
    }
}

/// What a table holds, in the order in which tables grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Confirmed,
    ConfirmedDatagrams,
    Unconfirmed,
    UdpOrigins,
    HostPeers,
    Fragments,
}

impl Content {
    const ALL: [Self; 6] = [
        Self::Confirmed,
        Self::ConfirmedDatagrams,
        Self::Unconfirmed,
        Self::UdpOrigins,
        Self::HostPeers,
        Self::Fragments,
    ];

    /// How many of them there may be with so many flows.
    const fn entries(self, flows: u32) -> u32 {
        match self {
            Self::Confirmed | Self::ConfirmedDatagrams => confirmed_entries(flows),
            Self::Unconfirmed => unconfirmed_entries(flows),
            Self::UdpOrigins => udp_origin::entries(flows),
            Self::HostPeers => udp_origin::host_peers(flows),
            Self::Fragments => fragmented_packets(flows),
        }
    }
}

/// An LRU map.
struct Table {
    name: &'static str,
    content: Content,
    /// `None`: both.
    family: Option<Family>,
    /// What the kernel takes for an entry.
    entry_bytes: u64,
}

const fn table<K, V>(name: &'static str, content: Content, family: Option<Family>) -> Table {
    Table { name, content, family, entry_bytes: lru_entry(size_of::<K>(), size_of::<V>()) }
}

const V4: Option<Family> = Some(Family::V4);
const V6: Option<Family> = Some(Family::V6);

const TABLES: [Table; 11] = [
    table::<FlowKey4, Flow>(names::FLOWS4, Content::Confirmed, V4),
    table::<FlowKey6, Flow>(names::FLOWS6, Content::Confirmed, V6),
    table::<FlowKey4, Flow>(names::DATAGRAMS4, Content::ConfirmedDatagrams, V4),
    table::<FlowKey6, Flow>(names::DATAGRAMS6, Content::ConfirmedDatagrams, V6),
    table::<FlowKey4, Flow>(names::NEW4, Content::Unconfirmed, V4),
    table::<FlowKey6, Flow>(names::NEW6, Content::Unconfirmed, V6),
    table::<Peer<Address4>, UdpOrigin<Address4>>(names::UDP_ORIGIN4, Content::UdpOrigins, V4),
    table::<Peer<Address6>, UdpOrigin<Address6>>(names::UDP_ORIGIN6, Content::UdpOrigins, V6),
    table::<Peer<Address4>, HostPeer>(names::HOST_PEERS4, Content::HostPeers, V4),
    table::<Peer<Address6>, HostPeer>(names::HOST_PEERS6, Content::HostPeers, V6),
    table::<FragmentKey, FragmentVerdict>(names::FRAGMENTS, Content::Fragments, None),
];

/// `struct bucket` of kernel/bpf/hashtab.c. There is one for each entry: their number is rounded up
/// to a power of two, which the entries' is here.
const BUCKET: u64 = 16;

/// Key and value behind `struct htab_elem` (48 bytes), each on a word's boundary, and a bucket. All of
/// them are allocated when the map is made.
const fn lru_entry(key: usize, value: usize) -> u64 {
    48 + key.next_multiple_of(8) as u64 + value.next_multiple_of(8) as u64 + BUCKET
}

/// The elements of an array, each on a word's boundary (kernel/bpf/arraymap.c).
const fn array(elements: u32, value: usize) -> u64 {
    elements as u64 * value.next_multiple_of(8) as u64
}

/// The maps that have the same size on every machine. Tries, and the entries of hashes that are not
/// LRU, take memory as the network grows.
fn fixed_bytes(cpus: u32) -> u64 {
    let word = size_of::<u64>();
    let pointers = |elements| array(elements, word);
    let counters = MAX_UPLINKS * REASON_SLOTS;
    [
        array(syn_cache::ELEMENTS, word),
        array(counters, word) * u64::from(cpus) + pointers(counters),
        array(MAX_FACTS, size_of::<UplinkFacts>()),
        array(IFINDEX_SLOTS, size_of::<IfindexSlot>()),
        array(PORT_WORDS, word),
        2 * BUCKET * u64::from(MAX_ADDRESSES),
        // Of what left by the wrong uplink, which is empty but where packets are only observed.
        (lru_entry(size_of::<WrongUplinkKey>(), word) + array(1, word) * u64::from(cpus))
            * u64::from(UNUSED),
        // Two for each uplink (when it was exposed, which facts), its device, the frames, the
        // decision log that is off (four pages), constants, and the maps themselves.
        48 << 10,
        u64::from(cpus) * (2 << 10),
    ]
    .into_iter()
    .sum()
}

/// The sizes of all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// In the order of [`TABLES`].
    entries: [u32; TABLES.len()],
    cpus: u32,
}

impl Sizes {
    /// The configuration's number of flows, or the largest tables that memory allows. Also the
    /// smallest ones may take more than that, on a machine with much less memory than its processors
    /// suggest.
    pub fn plan(machine: Machine, demand: Demand) -> Self {
        if let Some(flows) = demand.flows {
            return Self::of(machine, demand, [flows; Content::ALL.len()]);
        }
        let mut flows = [0; Content::ALL.len()];
        let mut sizes = Self::of(machine, demand, flows);
        let doubled = |flows: &u32| flows.checked_mul(2);
        let numbers = std::iter::successors(Some(MIN_FLOWS_PER_CPU), doubled);
        for number in numbers.take_while(|number| *number <= MAX_DEFAULT_FLOWS) {
            for content in 0..flows.len() {
                flows[content] = number;
                let larger = Self::of(machine, demand, flows);
                if larger.bytes() > machine.limit() && larger != sizes {
                    return sizes;
                }
                sizes = larger;
            }
        }
        sizes
    }

    /// Tables for these numbers of flows, one for each content.
    fn of(machine: Machine, demand: Demand, flows: [u32; Content::ALL.len()]) -> Self {
        let entries = TABLES.each_ref().map(|table| {
            if !is_used(table, demand.families, demand.udp_source) {
                return UNUSED;
            }
            let entries = table.content.entries(flows[table.content as usize]);
            let entries = entries.max(machine.fewest());
            entries.checked_next_power_of_two().unwrap_or(1 << 31)
        });
        Self { entries, cpus: machine.cpus }
    }

    /// The same sizes, except for tables whose number of entries is `known`, by the table's name.
    #[must_use]
    pub fn with_entries(mut self, known: impl Fn(&'static str) -> Option<u32>) -> Self {
        for (table, entries) in TABLES.iter().zip(&mut self.entries) {
            *entries = known(table.name).unwrap_or(*entries);
        }
        self
    }

    /// Each table's name and its entries.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u32)> {
        TABLES.iter().map(|table| table.name).zip(self.entries)
    }

    /// Entries of the table of what left by the wrong uplink, while packets are observed.
    pub const fn wrong_uplinks(&self) -> u32 {
        observe::wrong_uplinks(self.cpus)
    }

    /// What all maps take at start, in bytes: an estimate of the kernel's own accounting.
    pub fn bytes(&self) -> u64 {
        let tables = TABLES.iter().zip(self.entries);
        let tables: u64 = tables.map(|(table, n)| table.entry_bytes * u64::from(n)).sum();
        tables + fixed_bytes(self.cpus)
    }

    /// Whether a table has the size of one that is not in use, and is in use.
    pub fn are_outgrown(&self, families: Families, udp_source: bool) -> bool {
        let is_outgrown = |(table, entries): (&Table, u32)| {
            is_small(entries) && is_used(table, families, udp_source)
        };
        TABLES.iter().zip(self.entries).any(is_outgrown)
    }
}

/// Whether a table of so many entries was made for one that is not in use.
pub const fn is_small(entries: u32) -> bool {
    entries < MIN_FLOWS_PER_CPU
}

fn is_used(table: &Table, families: Families, udp_source: bool) -> bool {
    let for_udp = matches!(table.content, Content::UdpOrigins | Content::HostPeers);
    (udp_source || !for_udp) && table.family.is_none_or(|family| families[family])
}

/// Names as in `prroute status`.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in all;", Megabytes(self.bytes()))?;
        for (index, (name, entries)) in self.entries().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {} {entries}", name.to_lowercase())?;
        }
        f.write_str(" entries")
    }
}

/// What is to be said of a configured number of flows that takes more than prroute's part of memory,
/// and more than it must.
pub fn excess(machine: Machine, demand: Demand) -> Option<String> {
    let flows = demand.flows?;
    let smallest = Demand { flows: Some(MIN_FLOWS_PER_CPU), ..demand };
    let (wanted, smallest) = (Sizes::plan(machine, demand), Sizes::plan(machine, smallest));
    let most = machine.part_of_memory();
    (wanted.bytes() > most && wanted != smallest).then(|| {
        format!(
            "flows = {flows}: the tables take {}, which is more than 1 % of this machine's memory \
             ({})",
            Megabytes(wanted.bytes()),
            Megabytes(most)
        )
    })
}

/// One line for the log.
pub fn tell(sizes: &Sizes, machine: Machine) {
    let limit = machine.limit();
    let more = if sizes.bytes() > limit {
        format!("; that is more than {}, which is prroute's part of memory", Megabytes(limit))
    } else {
        String::new()
    };
    tracing::info!(event = "tables", "tables: {sizes}{more}");
}

/// Bytes for people.
#[derive(Clone, Copy, Debug)]
pub struct Megabytes(pub u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / 100_000;
        write!(f, "{}.{} MB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests;
