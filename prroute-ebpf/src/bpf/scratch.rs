//! Memory for one packet per CPU and direction: headers and key of both families would not fit
//! on the 512 bytes of stack that a program and its functions share.
//!
//! A tc program is not interrupted by another one in the same direction on its CPU: both hooks
//! run with bottom halves off.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::{LaterFragment, Segment};

/// What is known of the packet at hand.
#[repr(C)]
pub(super) struct Scratch<F: Family> {
    pub(super) segment: Segment<F::Address>,
    pub(super) fragment: LaterFragment<F::Address>,
    pub(super) key: F::Key,
    /// On the way out: the router that the packet's request came from, 0 when it was not noted.
    pub(super) router: u64,
    /// For the decision log.
    pub(super) decided: u32,
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
