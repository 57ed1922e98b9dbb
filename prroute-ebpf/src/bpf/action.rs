//! Verdicts to deeds: the only place with a TC action number.

/// TCX_NEXT = TC_ACT_UNSPEC: the next program in the chain decides. Everything else would end it.
const TC_ACT_UNSPEC: i32 = -1;
/// TC_ACT_SHOT.
const TC_ACT_SHOT: i32 = 2;
/// What the redirect helpers return when they took the packet.
pub(super) const TC_ACT_REDIRECT: i32 = 7;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The kernel's own way.
    Pass,
    /// A redirect helper has been told where it goes.
    Redirect,
    /// Dropped, because `on-down = "hold"` asks for it.
    Drop,
}

impl Action {
    #[inline(always)]
    pub(super) const fn code(self) -> i32 {
        match self {
            Self::Pass => TC_ACT_UNSPEC,
            Self::Redirect => TC_ACT_REDIRECT,
            Self::Drop => TC_ACT_SHOT,
        }
    }

    /// The action that [`Action::code`] made a number of.
    #[inline(always)]
    pub(super) const fn from_code(code: i32) -> Self {
        match code {
            TC_ACT_REDIRECT => Self::Redirect,
            TC_ACT_SHOT => Self::Drop,
            _ => Self::Pass,
        }
    }
}
