use proptest::prelude::*;

use super::*;

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const ALL: Demand = Demand { flows: None, families: Families::BOTH, udp_source: true };
const IPV4_ONLY: Demand = Demand { families: Families { v4: true, v6: false }, ..ALL };

fn plan(memory: u64, cpus: u32, demand: Demand) -> Sizes {
    Sizes::plan(Machine { memory, cpus }, demand)
}

fn entries(sizes: &Sizes, name: &str) -> u32 {
    sizes.entries().find(|(it, _)| *it == name).unwrap().1
}

/// Memory, processors, and whether the smallest tables that work take more than the limit.
const MACHINES: [(u64, u32, bool); 8] = [
    (512 * MB, 1, false),
    (512 * MB, 2, true),
    (GB, 2, false),
    (2 * GB, 2, false),
    (24 * GB, 2, false),
    (24 * GB, 8, false),
    (256 * GB, 32, false),
    (256 * GB, 64, true),
];

#[test]
fn all_maps_take_one_per_cent_of_memory_and_93_mb_at_most() {
    for (memory, cpus, is_forced) in MACHINES {
        let sizes = plan(memory, cpus, ALL);
        let limit = (memory / 100).min(93_000_000);
        assert_eq!(sizes.bytes() > limit, is_forced, "{memory} {cpus}: {sizes}");
        if is_forced {
            let smallest = 2048 * cpus;
            assert!(sizes.entries().all(|(_, entries)| entries == smallest), "{sizes}");
        }
    }
    let small = plan(512 * MB, 2, IPV4_ONLY);
    assert!(small.bytes() <= 512 * MB / 100, "one family has room there: {small}");
}

#[test]
fn memory_is_used_where_there_is_some() {
    // Twice as much of one more table would be too much.
    for (memory, cpus, _) in MACHINES.into_iter().filter(|(.., is_forced)| !is_forced) {
        let sizes = plan(memory, cpus, ALL);
        let limit = Machine { memory, cpus }.limit();
        assert!(sizes.bytes() > limit / 2, "{memory} {cpus}: {sizes}");
    }
    let usual = plan(24 * GB, 2, ALL);
    assert_eq!(entries(&usual, names::FLOWS4), 131_072);
    assert_eq!(entries(&usual, names::DATAGRAMS6), 131_072);
    assert_eq!(entries(&usual, names::NEW6), 65_536);
    assert_eq!(entries(&usual, names::UDP_ORIGIN4), 32_768);
}

#[test]
fn what_is_not_used_takes_next_to_nothing() {
    let all = plan(24 * GB, 2, ALL);
    let ipv4 = plan(24 * GB, 2, IPV4_ONLY);
    assert_eq!(entries(&ipv4, names::FLOWS4), entries(&all, names::FLOWS4));
    let of_ipv6 = TABLES.iter().zip(ipv4.entries).filter(|(table, _)| table.family == V6);
    let bytes: u64 = of_ipv6.map(|(table, n)| table.entry_bytes * u64::from(n)).sum();
    assert!(bytes < 100_000, "{bytes}");
    let without = plan(24 * GB, 2, Demand { udp_source: false, ..ALL });
    assert_eq!(entries(&without, names::UDP_ORIGIN6), UNUSED);
    assert_eq!(entries(&without, names::HOST_PEERS4), UNUSED);
    assert_eq!(entries(&without, names::FRAGMENTS), 8192);
}

#[test]
fn a_table_is_outgrown_once_it_is_used() {
    let sizes = plan(GB, 1, Demand { udp_source: false, ..IPV4_ONLY });
    assert!(!sizes.are_outgrown(IPV4_ONLY.families, false));
    assert!(sizes.are_outgrown(IPV4_ONLY.families, true));
    assert!(sizes.are_outgrown(Families::BOTH, false));
    // What was in use and is no more keeps its tables.
    assert!(!plan(GB, 1, ALL).are_outgrown(IPV4_ONLY.families, false));
}

#[test]
fn the_configuration_decides_where_it_names_a_number() {
    let of = |flows| plan(512 * MB, 2, Demand { flows: Some(flows), ..ALL });
    assert_eq!(entries(&of(1 << 20), names::FLOWS6), 1 << 19);
    assert_eq!(entries(&of(1 << 20), names::NEW4), 1 << 18);
    assert_eq!(entries(&of(2048), names::FLOWS6), 4096, "2,048 for each processor");
    assert!(of(1 << 20).bytes() > 100 * MB);
}

#[test]
fn more_flows_than_memory_is_there_for_are_named() {
    let of = |flows| excess(Machine { memory: 2 * GB, cpus: 2 }, Demand { flows, ..ALL });
    assert_eq!(of(None), None);
    assert_eq!(of(Some(32_768)), None);
    assert_eq!(
        of(Some(262_144)).unwrap(),
        "flows = 262144: the tables take 94.6 MB, which is more than 1 % of this machine's memory \
         (21.4 MB)"
    );
    // There is nothing smaller.
    let least = Demand { flows: Some(2048), ..ALL };
    assert_eq!(excess(Machine { memory: 64 * MB, cpus: 2 }, least), None);
}

#[test]
fn the_log_has_one_line() {
    assert_eq!(
        plan(24 * GB, 2, IPV4_ONLY).to_string(),
        "44.1 MB in all; flows4 131072, \
        flows6 128, datagrams4 131072, datagrams6 128, new4 65536, new6 128, udp_origin4 32768, \
        udp_origin6 128, host_peers4 16384, host_peers6 128, fragments 8192 entries"
    );
}

fn demand() -> impl Strategy<Value = Demand> {
    (any::<[bool; 3]>(), proptest::option::of(2048..1u32 << 24)).prop_map(
        |([v4, v6, udp_source], flows)| Demand { flows, families: Families { v4, v6 }, udp_source },
    )
}

proptest! {
    #[test]
    fn every_table_in_use_has_a_power_of_two_and_2048_for_each_processor(
        memory in 0..1u64 << 45,
        cpus in 1..1024u32,
        demand in demand(),
    ) {
        let machine = Machine { memory, cpus };
        let sizes = Sizes::plan(machine, demand);
        for (table, entries) in TABLES.iter().zip(sizes.entries) {
            prop_assert!(entries.is_power_of_two());
            if is_used(table, demand.families, demand.udp_source) {
                prop_assert!(entries >= 2048 * cpus);
            } else {
                prop_assert_eq!(entries, UNUSED);
            }
        }
        prop_assert!(!sizes.are_outgrown(demand.families, demand.udp_source));
        if demand.flows.is_none() && sizes.bytes() > machine.limit() {
            let smallest = Sizes::plan(Machine { memory: 0, cpus }, demand);
            prop_assert_eq!(sizes, smallest, "only the smallest tables may take more");
        }
    }

    #[test]
    fn more_memory_makes_no_table_smaller(
        memory in 0..1u64 << 35,
        more in 0..1u64 << 35,
        cpus in 1..128u32,
        demand in demand(),
    ) {
        let sizes = Sizes::plan(Machine { memory, cpus }, demand);
        let larger = Sizes::plan(Machine { memory: memory + more, cpus }, demand);
        for ((name, entries), (_, larger)) in sizes.entries().zip(larger.entries()) {
            prop_assert!(larger >= entries, "{}: {} after {}", name, larger, entries);
        }
    }
}
