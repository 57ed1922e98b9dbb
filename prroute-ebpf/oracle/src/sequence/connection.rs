//! What is true of a TCP connection, and by which uplinks the server's segments may leave.

use std::collections::BTreeSet;

use prroute_common::address::{EXPOSURE, EXPOSURE_REFRESH};
use prroute_common::flow::{CLOSED_IDLE, TCP_REBIND_IDLE, UNCONFIRMED_IDLE};
use prroute_common::time::{Ticks, seconds};

use super::event::Part;
use super::packet::Name;
use super::world::Facts;

/// Stamps are written so much later at most, so that a limit is not met to the tick.
pub(super) const SLACK: Ticks = 3;

/// The kernel's last keepalive comes after so long a silence (tcp(7)).
pub(super) const KEEPALIVES: Ticks = seconds(7200 + 9 * 75);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    SynSent,
    SynReceived,
    Established,
    Closed,
}

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) name: Name,
    pub(super) state: State,
    /// Where its client sends now.
    pub(super) uplink: u16,
    /// Where its client has sent.
    pub(super) used: BTreeSet<u16>,
    /// Where the connections were that had its ports before.
    pub(super) older: BTreeSet<u16>,
    /// By which uplinks its SYN-ACK may leave, because an attacker's SYN was first.
    pub(super) forged_first: BTreeSet<u16>,
    /// The uplink that the server's segments must leave by.
    pub(super) promise: Option<u16>,
    pub(super) client_next: u32,
    /// Bytes that the client sent last.
    pub(super) client_last: u32,
    pub(super) server_next: u32,
    /// What the client has acknowledged.
    pub(super) acknowledged: u32,
    /// What it has acknowledged where the host looks for it.
    pub(super) heard: u32,
    /// When packets of its client, or of an older one's, came in.
    pub(super) last_in: [Option<Ticks>; 3],
    /// When SYNs did that may have an unconfirmed record still.
    pub(super) half_open: [Option<Ticks>; 3],
    /// When the last SYN-ACK left that may have kept another's unconfirmed record alive.
    pub(super) doubtful_at: Option<Ticks>,
    /// Whose record that may be.
    pub(super) suspects: BTreeSet<u16>,
    pub(super) last_packet: Ticks,
    /// Nothing has had the host forget its record.
    pub(super) is_recorded: bool,
    pub(super) has_data: bool,
    /// The server has sent data before the handshake was over.
    pub(super) is_served_early: bool,
    /// Which ends have sent a FIN, which is one of the numbers behind the data.
    pub(super) client_fin: bool,
    pub(super) server_fin: bool,
}

impl Connection {
    /// A client's SYN.
    pub(super) fn begin(
        name: Name,
        uplink: u16,
        number: u32,
        older: Option<&Self>,
        facts: &Facts,
    ) -> Self {
        let client_next = number.wrapping_mul(0x9e37_79b9).wrapping_add(1);
        let server_next = number.wrapping_mul(0x85eb_ca6b).wrapping_add(0x4000_0000);
        let mut begun = Self {
            name,
            state: State::SynSent,
            uplink,
            used: BTreeSet::from([uplink]),
            older: BTreeSet::new(),
            forged_first: BTreeSet::new(),
            promise: Some(uplink),
            client_next,
            client_last: 0,
            server_next,
            acknowledged: server_next,
            heard: server_next,
            last_in: older.map_or([None; 3], |older| older.last_in),
            half_open: older.map_or([None; 3], |older| older.half_open),
            doubtful_at: None,
            suspects: BTreeSet::new(),
            last_packet: facts.now,
            is_recorded: true,
            has_data: false,
            is_served_early: false,
            client_fin: false,
            server_fin: false,
        };
        let is_recent = |at: Option<Ticks>, limit| {
            at.is_some_and(|at| facts.now.wrapping_sub(at) < limit + SLACK)
        };
        // The first of two SYNs decides; what was there is given up after a silence only.
        for other in [1, 2] {
            let place = usize::from(other);
            if is_recent(facts.forged[place], UNCONFIRMED_IDLE) {
                begun.promise = None;
            }
            // The SYN-ACK of what has an older connection's ports goes where a SYN came in last that
            // is no older than an unconfirmed entry gets.
            let limit = if older.is_some() { UNCONFIRMED_IDLE } else { TCP_REBIND_IDLE };
            if is_recent(facts.forged[place], limit) {
                begun.forged_first.insert(other);
            }
            if other != uplink && is_recent(begun.half_open[place], UNCONFIRMED_IDLE) {
                begun.promise = None;
            }
            if other != uplink && is_recent(begun.last_in[place], TCP_REBIND_IDLE) {
                begun.promise = None;
            }
        }
        if let Some(older) = older {
            if is_recent(older.doubtful_at, UNCONFIRMED_IDLE) {
                begun.promise = None;
                begun.forged_first.extend(&older.suspects);
            }
            begun.older = older.used.union(&older.older).copied().collect();
        }
        begun.last_in[usize::from(uplink)] = Some(facts.now);
        begun.half_open[usize::from(uplink)] = Some(facts.now);
        begun
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }

    /// Replies to an address of the uplink that they are asked over leave there, recorded or not.
    pub(super) fn is_at_owner(&self) -> bool {
        self.name.service.owner() == Some(self.uplink)
    }

    /// Whether what comes in on this uplink, with one number that is right, is told from the client's.
    pub(super) fn is_settled(&self) -> bool {
        let is_known = self.state == State::Established && !self.is_at_owner();
        is_known && self.promise.is_some()
    }

    /// Time before the next packet of its handshake, or of its life, may have been too long.
    pub(super) fn ages(&mut self, now: Ticks) {
        const LAG: Ticks = SLACK + EXPOSURE_REFRESH;
        let idle = now.wrapping_sub(self.last_packet);
        let limit = match self.state {
            State::SynSent => UNCONFIRMED_IDLE,
            State::SynReceived if !self.is_served_early => UNCONFIRMED_IDLE,
            State::Closed => CLOSED_IDLE,
            _ => KEEPALIVES,
        };
        // An owned address is looked at elsewhere while packets came in elsewhere lately.
        let silence = self.last_in[usize::from(self.uplink)].map(|last| now.wrapping_sub(last));
        let is_owned = self.name.service.owner().is_some();
        let is_unexposed = is_owned && silence.is_some_and(|silence| silence + LAG >= EXPOSURE);
        if idle + SLACK > limit || is_unexposed {
            self.forget();
        }
    }

    /// What was recorded of it is gone.
    pub(super) fn forget(&mut self) {
        self.is_recorded = false;
        let was_elsewhere = self.older.iter().any(|older| *older != self.uplink);
        if !self.is_at_owner() || was_elsewhere {
            self.promise = None;
        }
    }

    /// Its client has not heard of its SYN-ACK, and has not moved since its SYN.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
            && self.used.iter().eq([&self.uplink])
    }

    pub(super) fn is_confirmed(&self) -> bool {
        matches!(self.state, State::Established | State::Closed)
            || (self.state == State::SynReceived && self.is_served_early)
    }

    /// Its SYN may be noted in the entry of a connection that had its ports before.
    pub(super) fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// The client sends over another uplink from now on.
    pub(super) fn moves(&mut self, uplink: u16) {
        if self.name.service.owner().is_none() {
            self.uplink = uplink;
            if !self.is_confirmed() {
                self.promise = None;
            }
        }
    }

    /// A segment of the client comes in. `proves` says that its numbers are those of a client
    /// whose connection goes on.
    pub(super) fn comes_in(&mut self, facts: &Facts, proves: bool) {
        self.ages(facts.now);
        let here = self.uplink;
        if let Some(there) = self.promise
            && there != here
        {
            let place = usize::from(there);
            let since =
                |at: Option<Ticks>| at.map_or(Ticks::MAX / 2, |at| facts.now.wrapping_sub(at));
            let silence = since(self.last_in[place]);
            // What an attacker sends there may count as its client's.
            let least = silence.min(since(facts.forged[place]));
            let is_up = facts.is_up[place];
            if !is_up || least >= TCP_REBIND_IDLE + SLACK {
                self.promise = proves.then_some(here);
            } else if silence + SLACK >= TCP_REBIND_IDLE {
                self.promise = None;
            }
        }
        self.used.insert(here);
        self.last_in[usize::from(here)] = Some(facts.now);
        self.last_packet = facts.now;
        // The acknowledgement of a FIN is noted when the server has sent once more.
        if self.promise == Some(here) && !self.server_fin {
            self.heard = self.acknowledged;
        }
    }

    /// How much the client acknowledges from now on.
    pub(super) fn acknowledges(&mut self, part: Part) {
        let flight = self.in_flight();
        let more = match part {
            Part::Nothing => 0,
            Part::Half => flight / 2,
            Part::All => flight,
        };
        self.acknowledged = self.acknowledged.wrapping_add(more);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.server_next.wrapping_sub(self.acknowledged)
    }

    /// Whether what the client sends again proves it: then nothing that it acknowledges is new.
    pub(super) fn again_proves(&self) -> bool {
        self.acknowledged == self.server_next || self.acknowledged == self.heard
    }

    /// The handshake is over: what an attacker began first ends.
    pub(super) fn establish(&mut self) {
        self.state = State::Established;
        self.forged_first.clear();
        if !self.is_at_owner() && self.promise.is_some() {
            self.half_open[usize::from(self.uplink)] = None;
        }
    }
}
