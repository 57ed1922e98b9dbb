//! Fragments on their way out: later ones follow the first.

use prroute_common::flow::{FRAGMENT_IDLE, FragmentKey, FragmentWay};
use prroute_common::time::{Ticks, since};
use prroute_ebpf::family::{Address4, Address6, Ipv4, Ipv6};
use prroute_ebpf::parse::{LaterFragment, Segment};

use super::clock;
use super::lookup::Tables;
use super::maps::FRAGMENTS;
use super::redirect::Reply;

/// A family whose packets can be told apart by their identification.
pub(super) trait Fragmented: Tables {
    fn key(
        source: Self::Address,
        destination: Self::Address,
        identification: u32,
        protocol: u8,
    ) -> FragmentKey;
}

impl Fragmented for Ipv4 {
    #[inline(always)]
    fn key(
        source: Address4,
        destination: Address4,
        identification: u32,
        protocol: u8,
    ) -> FragmentKey {
        FragmentKey {
            source: [u64::from(source), 0],
            destination: [u64::from(destination), 0],
            identification,
            protocol: u32::from(protocol),
        }
    }
}

impl Fragmented for Ipv6 {
    #[inline(always)]
    fn key(
        source: Address6,
        destination: Address6,
        identification: u32,
        _protocol: u8,
    ) -> FragmentKey {
        FragmentKey { source, destination, identification, protocol: 0 }
    }
}

#[inline(always)]
fn remember<F: Fragmented>(segment: &Segment<F::Address>, way: FragmentWay) {
    if let Some(identification) = segment.first_fragment.identification() {
        write::<F>(segment, identification, &way);
    }
}

#[inline(never)]
fn write<F: Fragmented>(segment: &Segment<F::Address>, identification: u32, way: &FragmentWay) {
    let key = <F as Fragmented>::key(
        segment.source,
        segment.destination,
        identification,
        segment.protocol,
    );
    // Without room the later fragments are decided, and counted, as ones that overtook.
    FRAGMENTS.insert(&key, way, 0).unwrap_or_default();
}

/// The packet goes the kernel's way, and so do its later fragments.
#[inline(always)]
pub(super) fn passes<F: Fragmented>(segment: &Segment<F::Address>, now: Ticks) {
    remember::<F>(segment, FragmentWay { decided_at: now, ..FragmentWay::default() });
}

/// The later fragments of the packet go where it goes.
#[inline(always)]
pub(super) fn follows<F: Fragmented>(segment: &Segment<F::Address>, reply: &Reply, now: Ticks) {
    let way = FragmentWay {
        uplink: reply.target.id,
        generation: reply.target.generation,
        decided_at: now,
        router: reply.router,
    };
    remember::<F>(segment, way);
}

/// What was decided for the first fragment, if it came before.
#[inline(always)]
pub(super) fn way_of<F: Fragmented>(fragment: &LaterFragment<F::Address>) -> Option<FragmentWay> {
    let mut way = FragmentWay::default();
    read::<F>(fragment, &mut way).then_some(way)
}

#[inline(never)]
fn read<F: Fragmented>(fragment: &LaterFragment<F::Address>, way: &mut FragmentWay) -> bool {
    let key = <F as Fragmented>::key(
        fragment.source,
        fragment.destination,
        fragment.identification,
        fragment.protocol,
    );
    // SAFETY: the entry may be recycled while it is read; each of its words is valid.
    let Some(found) = (unsafe { FRAGMENTS.get(&key) }) else { return false };
    *way = *found;
    since(clock::now(), way.decided_at) <= FRAGMENT_IDLE
}
