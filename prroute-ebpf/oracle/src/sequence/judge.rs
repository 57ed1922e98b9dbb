//! By which uplinks a server's segments may leave, whatever an attacker guesses.

use prroute_common::flow::TCP_REBIND_IDLE;

use super::connection::{Connection, SLACK, State};
use super::event::Guess;
use super::world::{Facts, Moved};

impl Connection {
    /// An attacker sends in the client's name.
    pub(super) fn is_forged(&mut self, uplink: u16, facts: &Facts) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            let is_evicted = !self.is_recorded;
            self.forget();
            let silent = self.last_in[usize::from(self.uplink)]
                .is_none_or(|last| facts.now.wrapping_sub(last) + SLACK >= TCP_REBIND_IDLE);
            if silent || is_evicted || !facts.is_up[usize::from(self.uplink)] {
                self.forged_first.insert(uplink);
            }
        }
    }

    /// Numbers that a blind attacker may come close with.
    pub(super) fn guess(&self, guess: Guess) -> (u32, u32) {
        const OFF: u32 = 3 << 20;
        let flight = self.server_next.wrapping_sub(self.heard);
        let inside =
            if flight > 30 { self.heard.wrapping_add(flight / 3 + 1) } else { 0x1234_5678 };
        match guess {
            Guess::Zero => (0, 0),
            Guess::Far => (0x0bad_0000, 0x0bad_1000),
            Guess::InFlight => (self.client_next.wrapping_add(OFF), inside),
            Guess::NearInFlight => (self.client_next.wrapping_sub(100), inside),
            Guess::BeyondSent => (self.client_next, self.server_next.wrapping_add(2)),
            Guess::BehindHeard => {
                // What was not acknowledged yet may be a megabyte behind. A FIN counts for nothing.
                let is_unheard = self.is_at_owner();
                let behind = if is_unheard { OFF } else { 2 };
                (self.client_next, self.heard.wrapping_sub(behind))
            }
            Guess::AllSent => (self.client_next.wrapping_add(OFF), self.server_next),
        }
    }

    /// The server's segment leaves by `by`, or was moved.
    pub(super) fn leaves(
        &mut self,
        by: u16,
        moved: Option<Moved>,
        facts: &Facts,
    ) -> Result<(), String> {
        self.last_packet = facts.now;
        if self.promise.is_none() {
            self.doubtful_at = Some(facts.now);
            self.suspects.extend(&self.forged_first);
        }
        let left = moved.map_or(by, |moved| moved.uplink);
        if let Some(promise) = self.promise
            && facts.is_up[usize::from(promise)]
        {
            if left != promise {
                return Err(format!("leaves by {left}, and not by {promise} as it must: {self:?}"));
            }
            if let Some(Moved { router, .. }) = moved
                && self.is_recorded
                && router != 0
                && router != facts.router
            {
                return Err(format!("goes to the router {router:x} of an attacker: {self:?}"));
            }
        }
        let Some(moved) = moved else { return Ok(()) };
        let is_owner = self.name.service.owner() == Some(moved.uplink);
        let was_older = self.older.contains(&moved.uplink);
        let tolerated = self.used.contains(&moved.uplink)
            || (self.promise.is_none() && (is_owner || was_older))
            || self.forged_first.contains(&moved.uplink);
        if tolerated {
            return Ok(());
        }
        Err(format!("is moved to {}, where its client never was: {self:?}", moved.uplink))
    }
}
