//! What becomes of single packets, reported while somebody asks for it (`prroute monitor`, `explain`).

use bytemuck::{Pod, Zeroable};

use crate::address::Address6;
use crate::time::{Ticks, seconds};
use crate::uplink::Prefix;

/// Bytes of the ring buffer: some 700 packets.
pub const RING_BYTES: u32 = 1 << 18;

/// Bytes of a packet that are reported, from its link-layer header on.
pub const CAPTURED: usize = 256;

/// Reported packets are counted for so long, and then anew.
pub const WINDOW: Ticks = seconds(1);

/// Which packets are asked for, and until when. All zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Filter {
    /// Nobody asks from then on: who reads writes it again in time. 0 for nobody.
    pub until: Ticks,
    /// Packets that are reported within a [`WINDOW`].
    pub most: u32,
    /// The host's end, and the other one.
    pub local: Prefix<Address6>,
    pub remote: Prefix<Address6>,
    /// Either of them.
    pub host: Prefix<Address6>,
    /// In network byte order, 0 for any; an echo's identifier.
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    /// Either of them.
    pub port: [u8; 2],
    /// IANA number, 0 for any.
    pub protocol: u8,
    /// 4 or 6, 0 for any.
    pub version: u8,
    /// Id of the uplink that the packet is on, or goes to; 0 for any.
    pub uplink: u16,
    /// Bits of [`Verdict::bit`]; 0 for any.
    pub verdicts: u16,
    /// Not 0: only those that open, confirm or move a flow.
    pub changes: u32,
}

const _: () = assert!(size_of::<Filter>() == 120);

/// Who speaks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    pub local: &'a Address6,
    pub remote: &'a Address6,
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub version: u8,
}

impl Filter {
    /// Nobody asks.
    pub const NONE: Self = Self {
        until: 0,
        most: 0,
        local: ANY,
        remote: ANY,
        host: ANY,
        local_port: [0; 2],
        remote_port: [0; 2],
        port: [0; 2],
        protocol: 0,
        version: 0,
        uplink: 0,
        verdicts: 0,
        changes: 0,
    };

    /// Whether nobody asks any more.
    #[inline(always)]
    pub const fn is_over(&self, now: Ticks) -> bool {
        self.until.wrapping_sub(now).cast_signed() <= 0
    }

    /// Whether it asks for packets between these ends.
    #[inline(always)]
    pub fn is_about(&self, ends: &Ends<'_>) -> bool {
        let Ends { local, remote, local_port, remote_port, protocol, version } = *ends;
        (self.version == 0 || self.version == version)
            && (self.protocol == 0 || self.protocol == protocol)
            && is(self.local_port, local_port)
            && is(self.remote_port, remote_port)
            && (is(self.port, local_port) || is(self.port, remote_port))
            && self.local.contains(*local)
            && self.remote.contains(*remote)
            && (self.host.contains(*local) || self.host.contains(*remote))
    }

    /// Whether it asks for packets with this verdict, on one of these uplinks.
    #[inline(always)]
    pub const fn is_about_verdict(&self, verdict: Verdict, on: u16, target: u16) -> bool {
        (self.verdicts == 0 || self.verdicts & verdict.bit() != 0)
            && (self.uplink == 0 || self.uplink == on || self.uplink == target)
    }
}

/// Holds every address.
const ANY: Prefix<Address6> = Prefix { address: [0; 2], mask: [0; 2] };

#[inline(always)]
fn is(wanted: [u8; 2], port: [u8; 2]) -> bool {
    wanted == [0; 2] || wanted == port
}

/// How many packets were reported. The programs write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rate {
    /// Since when, and how many since then.
    pub since: Ticks,
    pub reported: u32,
    /// Packets that were asked for and not reported: there were too many, or the ring buffer was full. Now
    /// and then one too few: processors write it without waiting for each other.
    pub skipped: u64,
}

const _: () = assert!(size_of::<Rate>() == 16);

/// What became of a packet, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It went the kernel's way.
    Passed = 0,
    /// It went to another uplink or router than the kernel's.
    Moved = 1,
    /// It went the kernel's way, because the flow does not live here, or is not confirmed.
    Refused = 2,
    /// Its uplink cannot be used, and it waits: it was dropped.
    Held = 3,
    /// It was too big, and its sender could not be told.
    Dropped = 4,
    /// It was too big: an ICMP error was made of it.
    Told = 5,
}

impl Verdict {
    pub const ALL: [Self; 6] =
        [Self::Passed, Self::Moved, Self::Refused, Self::Held, Self::Dropped, Self::Told];

    #[inline(always)]
    pub const fn bit(self) -> u16 {
        1 << self as u8
    }

    #[inline(always)]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| *verdict as u8 == code)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Moved => "moved",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Dropped => "dropped",
            Self::Told => "told",
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Report {
    /// The kernel's monotonic clock.
    pub time_ns: u64,
    /// Of the flow: an ICMP error has those of the packet it quotes, in the other direction.
    pub source: Address6,
    pub destination: Address6,
    /// The router that it goes to, where that was noted; see `mac_word`.
    pub router: u64,
    /// The device that it is on.
    pub ifindex: u32,
    /// Bytes with the link-layer header, of a super-packet all.
    pub length: u32,
    /// Bytes of `packet` that count.
    pub captured: u32,
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    /// Id of the uplink that it is on.
    pub uplink: u16,
    /// Id of the uplink that it should leave by; 0 where that was no question.
    pub target: u16,
    /// Id of the uplink that its flow was known to be on; 0 for none.
    pub flow_on: u16,
    /// IANA number.
    pub protocol: u8,
    /// 4 or 6.
    pub version: u8,
    /// 0: it came in, 1: it leaves.
    pub direction: u8,
    /// A [`Verdict`].
    pub verdict: u8,
    /// What was decided about the flow, `prroute_ebpf::decide`'s `InboundKind` or `OutboundKind`;
    /// [`NO_DECISION`] where no flow was asked for.
    pub decision: u8,
    /// How it gets to `target`: `prroute_ebpf::decide::deliver`'s `Delivery::code`; 0 where that was no
    /// question.
    pub delivery: u8,
    /// Bits of [`about`].
    pub about: u8,
    /// Length of the link-layer header in bytes.
    pub link_header: u8,
    pub pad: [u8; 2],
    pub packet: [u8; CAPTURED],
}

const _: () = assert!(size_of::<Report>() == 336);

/// [`Report::decision`] of a packet whose flow does not matter.
pub const NO_DECISION: u8 = u8::MAX;

/// [`Report::about`].
pub mod about {
    /// Its flow was known, and confirmed.
    pub const CONFIRMED: u8 = 1 << 0;
    /// The flow was opened by this host.
    pub const OPENED_BY_HOST: u8 = 1 << 1;
    /// A fragment without ports.
    pub const LATER_FRAGMENT: u8 = 1 << 2;
    /// It has the address of `target` as source, and is no reply.
    pub const OWN_SOURCE: u8 = 1 << 3;
    /// `mode = "observe"`: it was left as it is.
    pub const OBSERVED: u8 = 1 << 4;
    /// `target` has come to another device since.
    pub const TARGET_GONE: u8 = 1 << 5;
    /// It opened, confirmed or moved its flow.
    pub const CHANGES: u8 = 1 << 6;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::address4;

    const LOCAL: Address6 = [address4([198, 51, 100, 10]) as u64, 0];
    const REMOTE: Address6 = [address4([203, 0, 113, 11]) as u64, 0];

    fn ends() -> Ends<'static> {
        Ends {
            local: &LOCAL,
            remote: &REMOTE,
            local_port: 8080_u16.to_be_bytes(),
            remote_port: 40_000_u16.to_be_bytes(),
            protocol: 6,
            version: 4,
        }
    }

    fn prefix(address: Address6) -> Prefix<Address6> {
        let mask = [u64::from(address4([255; 4])), 0];
        Prefix { address, mask }
    }

    #[test]
    fn a_filter_without_conditions_is_about_every_packet() {
        assert!(Filter::NONE.is_about(&ends()));
        assert!(Filter::NONE.is_about_verdict(Verdict::Moved, 1, 2));
    }

    #[test]
    fn each_condition_counts() {
        let of = |filter: Filter| filter.is_about(&ends());
        let none = Filter::NONE;
        let port = 8080_u16.to_be_bytes();
        assert!(of(Filter { local: prefix(LOCAL), ..none }));
        assert!(!of(Filter { local: prefix(REMOTE), ..none }));
        assert!(!of(Filter { remote: prefix(LOCAL), ..none }));
        assert!(of(Filter { host: prefix(LOCAL), ..none }));
        assert!(of(Filter { host: prefix(REMOTE), ..none }));
        assert!(!of(Filter { host: prefix([7, 0]), ..none }));
        assert!(of(Filter { port, ..none }));
        assert!(of(Filter { local_port: port, ..none }));
        assert!(!of(Filter { remote_port: port, ..none }));
        assert!(!of(Filter { protocol: 17, ..none }));
        assert!(!of(Filter { version: 6, ..none }));
    }

    #[test]
    fn an_uplink_is_the_one_a_packet_is_on_or_goes_to() {
        let about = Filter { uplink: 2, ..Filter::NONE };
        assert!(about.is_about_verdict(Verdict::Passed, 2, 0));
        assert!(about.is_about_verdict(Verdict::Passed, 1, 2));
        assert!(!about.is_about_verdict(Verdict::Passed, 1, 3));
        let moved = Filter { verdicts: Verdict::Moved.bit(), ..Filter::NONE };
        assert!(!moved.is_about_verdict(Verdict::Passed, 1, 1));
    }

    #[test]
    fn nobody_asks_when_the_time_is_over() {
        let until = Filter { until: 100, ..Filter::NONE };
        assert!(!until.is_over(99));
        assert!(until.is_over(100));
        assert!(!Filter { until: 5, ..Filter::NONE }.is_over(u32::MAX));
    }

    #[test]
    fn every_verdict_has_a_number_of_its_own() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_code(verdict as u8), Some(verdict));
        }
        assert_eq!(Verdict::from_code(99), None);
    }
}
