//! A flow with one thing changed.

use super::{Flow, GENERATION_SHIFT, LOW, ROUTER_SHIFT, SYN_DATA_SHIFT, state};
use crate::time::Ticks;

impl Flow {
    #[inline(always)]
    #[must_use]
    pub const fn with_heard_here(mut self) -> Self {
        self.origin |= state::HEARD_HERE;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_last_in(mut self, now: Ticks) -> Self {
        self.times = self.times & !LOW | now as u64;
        self
    }

    /// Also notes that the flow is answered.
    #[inline(always)]
    #[must_use]
    pub const fn with_last_out(mut self, now: Ticks) -> Self {
        self.times = self.times & LOW | (now as u64) << 32;
        self.origin |= state::ANSWERED;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_heard(mut self, acknowledgement: u32) -> Self {
        self.origin |= state::HEARD;
        self.local = self.local & !LOW | acknowledgement as u64;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_sent(mut self, end: u32) -> Self {
        self.origin |= state::SENT;
        self.local = self.local & LOW | (end as u64) << 32;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_received(mut self, end: u32) -> Self {
        self.origin |= state::RECEIVED;
        self.remote = self.remote & !LOW | end as u64;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_syn_data(mut self, bytes: u16) -> Self {
        self.remote = self.remote << 16 >> 16 | (bytes as u64) << SYN_DATA_SHIFT;
        self
    }

    #[inline(always)]
    #[must_use]
    pub const fn with_router(mut self, router: u64) -> Self {
        self.origin = self.origin & 0xffff | router << ROUTER_SHIFT;
        self
    }

    /// Whether a socket of this host was there.
    #[inline(always)]
    #[must_use]
    pub const fn with_socket(mut self, is_there: bool) -> Self {
        self.origin &= !state::NO_SOCKET;
        if !is_there {
            self.origin |= state::NO_SOCKET;
        }
        self
    }

    /// The remote end of a TCP connection that came in has sent a FIN.
    #[inline(always)]
    #[must_use]
    pub const fn with_remote_fin(mut self) -> Self {
        self.origin |= state::REMOTE_FIN;
        self
    }

    /// This end has.
    #[inline(always)]
    #[must_use]
    pub const fn with_local_fin(mut self) -> Self {
        self.origin |= state::LOCAL_FIN;
        self
    }

    /// One of them has reset it.
    #[inline(always)]
    #[must_use]
    pub const fn with_reset(self) -> Self {
        self.with_remote_fin().with_local_fin()
    }

    /// Neither end has: a TCP connection that came in goes on.
    #[inline(always)]
    #[must_use]
    pub const fn without_fins(mut self) -> Self {
        self.origin &= !(state::REMOTE_FIN | state::LOCAL_FIN);
        self
    }

    /// The TCP flow without anything known of its sequence numbers, and of its end.
    #[inline(always)]
    #[must_use]
    pub const fn without_numbers(self) -> Self {
        let mut flow = self.without_fins();
        flow.origin &= !(state::HEARD | state::SENT | state::RECEIVED);
        flow.local = 0;
        flow.remote &= 0xffff << GENERATION_SHIFT;
        flow
    }

    /// With the stamps of another one.
    #[inline(always)]
    #[must_use]
    pub const fn with_times_of(self, other: &Self) -> Self {
        Self { times: other.times, ..self }
    }

    /// The words in their order, each valid on its own.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 4] {
        [self.times, self.origin, self.local, self.remote]
    }

    /// The TCP flow on another uplink; what is known of its sequence numbers, and of its end, stays.
    #[inline(always)]
    #[must_use]
    pub const fn rebound(self, uplink: u16, generation: u16, now: Ticks) -> Self {
        let fresh = Self::inbound(uplink, generation, now);
        const NUMBERS: u64 = state::HEARD | state::SENT | state::RECEIVED;
        const FINS: u64 = state::REMOTE_FIN | state::LOCAL_FIN;
        let known = self.origin & (state::ANSWERED | NUMBERS | FINS);
        Self {
            times: fresh.times | self.times & !LOW,
            origin: fresh.origin | known,
            local: self.local,
            remote: fresh.remote | self.remote & (LOW | 0xffff << SYN_DATA_SHIFT),
        }
    }
}
