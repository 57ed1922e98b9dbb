//! The only place that touches a raw `__sk_buff`.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::{__sk_buff, bpf_sock};
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;
use aya_ebpf::{EbpfContext as _, Global};
use network_types::eth::EtherType;
use prroute_ebpf::wire::packet::{Header, Packet};

/// `PACKET_HOST`: addressed to this host on the link layer.
const PACKET_HOST: u32 = 0;

/// A number that nobody else has: what the control block holds before is the kernel's, and partly a
/// packet's. 0 for no notes. The verifier folds it.
#[unsafe(no_mangle)]
static REDIRECT_NOTE: Global<u64> = Global::new(0);

#[inline(always)]
fn note() -> (u32, u32) {
    let note = REDIRECT_NOTE.load();
    (note as u32, (note >> 32) as u32)
}

/// A [segment size](Skb::segment_size) that is none: SCTP's super-packets are of whole packets.
pub(super) const GSO_BY_FRAGS: u32 = 0xffff;

/// The VLAN identifier's bits in a tag.
const VLAN_ID: u32 = 0x0fff;

/// What the network header is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
    /// A frame of the VLAN device above.
    Tagged,
    Other,
}

/// A packet in a tc program.
pub(super) struct Skb {
    ctx: TcContext,
    skb: *mut __sk_buff,
}

impl Skb {
    #[inline(always)]
    pub(super) fn new(ctx: TcContext) -> Self {
        Self { skb: ctx.as_ptr().cast(), ctx }
    }

    /// For the decision log.
    #[inline(always)]
    pub(super) fn context(&self) -> &TcContext {
        &self.ctx
    }

    /// Length in bytes including the link-layer header; a super-packet's whole length.
    #[inline(always)]
    pub(super) fn len(&self) -> u32 {
        // SAFETY: the kernel passes a valid context, and the verifier checks the access.
        unsafe { (*self.skb).len }
    }

    /// The interface the program runs on.
    #[inline(always)]
    pub(super) fn ifindex(&self) -> u32 {
        // SAFETY: as in `len`.
        unsafe { (*self.skb).ifindex }
    }

    /// At egress: the interface the packet came in through; 0 for the host's own.
    #[inline(always)]
    pub(super) fn ingress_ifindex(&self) -> u32 {
        // SAFETY: as in `len`.
        unsafe { (*self.skb).ingress_ifindex }
    }

    /// At egress: whether the packet came in, be it through this very interface: the host's own did not.
    #[inline(always)]
    pub(super) fn is_forwarded(&self) -> bool {
        self.ingress_ifindex() != 0
    }

    /// At egress: the socket that sends; null where none does.
    #[inline(always)]
    pub(super) fn sender(&self) -> *mut bpf_sock {
        // SAFETY: as in `len`.
        unsafe { (&raw const (*self.skb).__bindgen_anon_2.sk).read_volatile() }
    }

    /// At egress: whether the sending socket is bound to this interface (SO_BINDTODEVICE). A packet that a
    /// tunnel made has the socket of the packet in it, which may be bound to the tunnel.
    #[inline(always)]
    pub(super) fn is_bound_to_device(&self) -> bool {
        let socket = self.sender();
        // SAFETY: the kernel keeps the socket while the packet lives, and the verifier checks the access.
        !socket.is_null()
            && unsafe { (&raw const (*socket).bound_dev_if).read_volatile() } == self.ifindex()
    }

    /// At ingress: whether the frame was sent to this host's link-layer address.
    #[inline(always)]
    pub(super) fn is_to_host(&self) -> bool {
        // SAFETY: as in `len`.
        unsafe { (*self.skb).pkt_type == PACKET_HOST }
    }

    /// Payload bytes per segment of a super-packet, 0 for others.
    #[inline(always)]
    pub(super) fn segment_size(&self) -> u32 {
        // SAFETY: as in `len`.
        unsafe { (*self.skb).gso_size }
    }

    /// Notes in the control block, which the kernel keeps until the target's own egress program,
    /// that this program has sent the packet on its way to this uplink; 0 where it goes as it is now.
    #[inline(always)]
    pub(super) fn note_redirected(&self, uplink: u16) {
        let (low, high) = note();
        // SAFETY: as in `len`; classifiers may write these words.
        unsafe { (&raw mut (*self.skb).cb[0]).write_volatile(low) };
        // SAFETY: as above.
        unsafe { (&raw mut (*self.skb).cb[1]).write_volatile(high) };
        // SAFETY: as above.
        unsafe { (&raw mut (*self.skb).cb[2]).write_volatile(u32::from(uplink)) };
    }

    /// At egress: whether the program has decided already, on the device that the packet was
    /// first about to leave by.
    #[inline(always)]
    pub(super) fn is_redirected(&self) -> bool {
        let (low, high) = note();
        // SAFETY: as in `len`.
        let first = unsafe { (&raw const (*self.skb).cb[0]).read_volatile() };
        // SAFETY: as in `len`.
        first == low
            && unsafe { (&raw const (*self.skb).cb[1]).read_volatile() } == high
            && REDIRECT_NOTE.load() != 0
    }

    /// Of a packet that was redirected: to which uplink.
    #[inline(always)]
    pub(super) fn redirected_to(&self) -> u32 {
        // SAFETY: as in `len`.
        unsafe { (&raw const (*self.skb).cb[2]).read_volatile() }
    }

    #[inline(always)]
    pub(super) fn network(&self) -> Network {
        // SAFETY: as in `len`.
        let tagged = unsafe { (*self.skb).vlan_present } != 0;
        // SAFETY: as in `len`. VID 0 is a priority tag: the frame is this interface's own.
        if tagged && unsafe { (*self.skb).vlan_tci } & VLAN_ID != 0 {
            return Network::Tagged;
        }
        // SAFETY: as in `len`.
        let protocol = unsafe { (*self.skb).protocol } as u16;
        if protocol == EtherType::Ipv4 as u16 {
            Network::Ipv4
        } else if protocol == EtherType::Ipv6 as u16 {
            Network::Ipv6
        } else if protocol == EtherType::Ieee8021q as u16
            || protocol == EtherType::Ieee8021ad as u16
        {
            Network::Tagged
        } else {
            Network::Other
        }
    }

    /// The bytes that lie in the linear part.
    #[inline(always)]
    pub(super) fn linear(&self) -> Linear {
        // Volatile: the compiler would load both in a caller and hand them on as numbers of 32
        // bits, which the verifier takes for arithmetic.
        // SAFETY: as in `len`.
        let start = unsafe { (&raw const (*self.skb).data).read_volatile() };
        // SAFETY: as in `len`.
        let end = unsafe { (&raw const (*self.skb).data_end).read_volatile() };
        Linear { start: start as usize, end: end as usize }
    }

    /// All bytes, by copying.
    #[inline(always)]
    pub(super) fn copying(&self) -> Copying {
        Copying { skb: self.skb }
    }
}

/// Direct packet access: the verifier proves the bounds.
pub(super) struct Linear {
    start: usize,
    end: usize,
}

impl Packet for Linear {
    #[inline(always)]
    fn read<T: Header>(&self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T::Words>() > self.end {
            return None;
        }
        // SAFETY: the comparison above is the bound the verifier asks for. The BPF machine reads
        // words at any address; where the hardware cannot, the verifier has the kernel place
        // network headers on word boundaries (NET_IP_ALIGN) or refuses the program.
        Some(T::from_words(unsafe { (at as *const T::Words).read() }))
    }
}

/// Copies each header out, wherever it lies: the slow path's reader. Never
/// `bpf_skb_pull_data`: before 6.16 it can bring the host down (UDP GRO fraglists).
pub(super) struct Copying {
    skb: *mut __sk_buff,
}

impl Packet for Copying {
    #[inline(always)]
    fn read<T: Header>(&self, offset: usize) -> Option<T> {
        let mut header = MaybeUninit::<T::Words>::uninit();
        let to = header.as_mut_ptr().cast();
        // SAFETY: `to` has room for the words, and the context is valid.
        let result = unsafe {
            bpf_skb_load_bytes(self.skb.cast(), offset as u32, to, size_of::<T::Words>() as u32)
        };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper filled all of it, and any bits are valid words.
        Some(T::from_words(unsafe { header.assume_init() }))
    }
}
