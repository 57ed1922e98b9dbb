//! Why a packet was counted. The numbers are frozen: they are map indexes, JSON names and
//! documentation at once. Append; never renumber, never reuse.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// What happened to a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in `status --json`, metrics and documentation.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// One sentence for an administrator.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    /// A flow opened from outside was recorded on this uplink.
    OpenedInbound = 0, "opened_inbound";
    /// A flow opened by this host was recorded, so that it is never moved.
    OpenedByHost = 1, "opened_by_host";
    /// A reply was moved to this uplink, where its flow came in.
    Redirected = 2, "redirected";
    /// A reply without a record, or a packet of the host's own, was moved to this uplink, which owns its
    /// source address.
    RedirectedToOwner = 3, "redirected_to_owner";
    /// A flow moved to this uplink, because the recorded one was idle or down.
    Rebound = 4, "rebound";
    /// A packet of a live flow of another uplink came in here; the flow stayed where it was.
    RebindRefused = 5, "rebind_refused";
    /// Not redirected: the recorded uplink is down, or its device is gone.
    UplinkDown = 6, "uplink_down";
    /// Not redirected: the recorded uplink's id belongs to another device now.
    UplinkGone = 7, "uplink_gone";
    /// Not redirected: no usable next hop on the recorded uplink.
    NoNextHop = 8, "no_next_hop";
    /// Not redirected: larger than the recorded uplink's MTU. Dropped, if no ICMP error could be made of it.
    TooBig = 9, "too_big";
    /// Not redirected: the kernel refused.
    RedirectFailed = 10, "redirect_failed";
    /// Not recorded: the flow table had no room.
    TableFull = 11, "table_full";
    /// Passed: the headers could not be parsed.
    Unparsable = 12, "unparsable";
    /// Passed: a tagged frame belongs to the VLAN device above.
    Tagged = 13, "tagged";
    /// A fragment overtook the first one of its packet and was decided by its address alone.
    FragmentOvertook = 14, "fragment_overtook";
    /// A flow proved that both ends take part in it.
    Confirmed = 15, "confirmed";
    /// Not redirected: the flow has not proved yet that both ends take part in it.
    Unconfirmed = 16, "unconfirmed";
    /// A TCP flow without a record was taken up in its middle.
    Adopted = 17, "adopted";
    /// Dropped: its uplink cannot be used, and the configuration says to hold.
    Held = 18, "held";
    /// Larger than the recorded uplink's MTU: its sender was told to send smaller ones.
    SenderTold = 19, "sender_told";
    /// Observed, and not moved: a reply that belongs on this uplink left by another one.
    WrongUplink = 20, "wrong_uplink";
}

/// Counters per uplink. A power of two above the last reason: index = uplink id * this + reason.
pub const REASON_SLOTS: u32 = 64;

const _: () = {
    assert!(Reason::ALL.len() < REASON_SLOTS as usize);
    let mut i = 0;
    while i < Reason::ALL.len() {
        assert!(Reason::ALL[i] as usize == i, "reasons are numbered in order");
        i += 1;
    }
};
