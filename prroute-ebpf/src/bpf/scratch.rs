//! Memory for one packet per CPU and direction: headers and key of both families would not fit
//! on the 512 bytes of stack that a program and its functions share.
//!
//! A tc program is not interrupted by another one in the same direction on its CPU: both hooks
//! run with bottom halves off.

use core::ptr;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use prroute_common::flow::Flow;
use prroute_common::time::Ticks;
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::{LaterFragment, Segment};
use prroute_ebpf::verdict::{Arrival, Departure, Known, Locality, Place};

/// What is known of the packet at hand. The parts of the slow path hand it to each other: what
/// lies here the verifier does not follow, so that it walks each part once and not once for
/// every way through the ones before.
#[repr(C)]
pub(super) struct Scratch<F: Family> {
    pub(super) segment: Segment<F::Address>,
    pub(super) fragment: LaterFragment<F::Address>,
    pub(super) key: F::Key,
    /// But for its destination, which is `locality`.
    arrival: Arrival,
    /// But for its source, which is `locality`.
    departure: Departure,
    /// A [`Locality::code`].
    locality: u32,
    pub(super) entry: FoundEntry,
    pub(super) decision: Decision,
    /// For the decision log.
    pub(super) decided: u32,
}

impl<F: Family> Scratch<F> {
    #[inline(always)]
    pub(super) fn keep_arrival(&mut self, arrival: Arrival) {
        self.locality = arrival.destination.code();
        self.arrival = Arrival { destination: Locality::NotLocal, ..arrival };
    }

    #[inline(always)]
    pub(super) fn arrival(&self) -> Arrival {
        Arrival { destination: Locality::from_code(self.locality), ..self.arrival }
    }

    #[inline(always)]
    pub(super) fn keep_departure(&mut self, departure: Departure) {
        self.locality = departure.source.code();
        self.departure = Departure { source: Locality::NotLocal, ..departure };
    }

    #[inline(always)]
    pub(super) fn departure(&self) -> Departure {
        Departure { source: Locality::from_code(self.locality), ..self.departure }
    }
}

/// The entry of the packet's flow, as it was read.
#[repr(C)]
pub(super) struct FoundEntry {
    pub(super) flow: Flow,
    /// One of [`NOWHERE`], [`CONFIRMED`] and [`UNCONFIRMED`].
    pub(super) table: u32,
    /// On the way out: not 0 when the packet is none of this flow, and takes its place.
    pub(super) is_disowned: u32,
}

pub(super) const NOWHERE: u32 = 0;
pub(super) const CONFIRMED: u32 = 1;
pub(super) const UNCONFIRMED: u32 = 2;

impl FoundEntry {
    /// The entry at `at`, if it is none of the confirmed ones.
    #[inline(always)]
    pub(super) fn unconfirmed(&self, at: *mut Flow) -> *mut Flow {
        if self.table == CONFIRMED { ptr::null_mut() } else { at }
    }

    /// The entry as the verdicts take it.
    #[inline(always)]
    pub(super) fn known(&self, protocol: u8, now: Ticks) -> Option<Known> {
        if self.table == NOWHERE || self.is_disowned != 0 {
            return None;
        }
        Known::from_entry(self.flow, self.table == CONFIRMED, protocol, now)
    }
}

/// What a verdict says beside its number.
#[repr(C)]
pub(super) struct Decision {
    /// To be written.
    pub(super) flow: Flow,
    /// On the way out: the router that the packet's request came from, 0 when it was not noted.
    pub(super) router: u64,
    pub(super) place: Place,
    /// On the way out: one of [`NOWHERE`], [`CONFIRMED`] and [`UNCONFIRMED`], the last for the entry
    /// that the flow has.
    pub(super) table: u32,
}

/// Index of a direction.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Way {
    In = 0,
    Out = 1,
}

#[map]
static SCRATCH4: PerCpuArray<Scratch<Ipv4>> = PerCpuArray::with_max_entries(2, 0);

#[map]
static SCRATCH6: PerCpuArray<Scratch<Ipv6>> = PerCpuArray::with_max_entries(2, 0);

/// A family that has scratch memory.
pub(super) trait Scratched: Family {
    /// `way` is a [`Way`].
    fn scratch(way: u32) -> Option<&'static mut Scratch<Self>>;
}

impl Scratched for Ipv4 {
    #[inline(always)]
    fn scratch(way: u32) -> Option<&'static mut Scratch<Self>> {
        // SAFETY: the element is this CPU's own, as said above; it is written before it is read.
        SCRATCH4.get_ptr_mut(way).map(|scratch| unsafe { &mut *scratch })
    }
}

impl Scratched for Ipv6 {
    #[inline(always)]
    fn scratch(way: u32) -> Option<&'static mut Scratch<Self>> {
        // SAFETY: as for IPv4.
        SCRATCH6.get_ptr_mut(way).map(|scratch| unsafe { &mut *scratch })
    }
}
