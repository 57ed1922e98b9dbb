//! What becomes of a packet: the only place with a TC action number.

/// What the redirect helpers return when they took the packet.
pub(super) const TC_ACT_REDIRECT: i32 = 7;

/// What becomes of a packet. The numbers are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Action {
    /// TCX_NEXT = TC_ACT_UNSPEC: the kernel's own way, after the next program in the chain. Everything
    /// else would end the chain.
    Pass = -1,
    /// TC_ACT_SHOT: dropped, because `on-down = "hold"` asks for it, or because an ICMP error could not
    /// be made of it.
    Drop = 2,
    /// A redirect helper has been told where it goes.
    Redirect = TC_ACT_REDIRECT,
    /// For the fast path alone: there is no way to its uplink, and perhaps another one.
    NoWay = 16,
}

/// What the fast path says of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Fast {
    Pass = Action::Pass as i32,
    Drop = Action::Drop as i32,
    Redirect = Action::Redirect as i32,
    /// It cannot say.
    SlowPath = Action::NoWay as i32,
    /// Nor is there a flow.
    SlowPathWithoutFlow = 17,
}

impl From<Action> for Fast {
    #[inline(always)]
    fn from(action: Action) -> Self {
        match action {
            Action::Pass => Self::Pass,
            Action::Drop => Self::Drop,
            Action::Redirect => Self::Redirect,
            Action::NoWay => Self::SlowPath,
        }
    }
}
