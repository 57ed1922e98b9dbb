//! Connections that the host opens: its segments are never moved (R3), also when what answers it comes
//! in elsewhere.

use prroute_common::flow::OTHER_IDLE;
use prroute_common::time::Ticks;
use prroute_ebpf::wire::parse::Kind;

use super::connection::{KEEPALIVES, SLACK};
use super::event::Table;
use super::packet::{Name, Packet};
use super::world::{Host, Moved, STEP, TRUE_ROUTER, World};

#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    name: Name,
    /// Where the peer's segments come in, once it has answered.
    uplink: Option<u16>,
    next: u32,
    peer_next: u32,
    last: Ticks,
    /// What was recorded of it is gone: nobody can tell who opened it.
    is_lost: bool,
}

impl Dial {
    pub(super) fn is_evicted(&mut self, table: Table) {
        self.is_lost |= matches!(table, Table::Flows | Table::New);
    }

    /// A number that is the peer's, and one that is not.
    pub(super) fn guess(&self) -> (u32, u32) {
        (self.peer_next, self.next.wrapping_add(0x1000_0000))
    }

    fn ages(&mut self, now: Ticks) {
        let limit = if self.uplink.is_some() { KEEPALIVES } else { OTHER_IDLE };
        self.is_lost |= now.wrapping_sub(self.last) + SLACK > limit;
        self.last = now;
    }

    fn judge(&self, moved: Option<Moved>) -> Result<(), String> {
        let Some(Moved { uplink, .. }) = moved else { return Ok(()) };
        let is_owner = self.name.service.owner() == Some(uplink);
        let is_peers = self.is_lost && self.uplink == Some(uplink);
        if is_owner || is_peers {
            return Ok(());
        }
        Err(format!("the host's own segment is moved to {uplink}: {self:?}"))
    }
}

impl<H: Host> World<H> {
    /// The host's SYN.
    pub(super) fn dial(&mut self, name: Name) -> Result<(), String> {
        self.pass(STEP);
        self.begun += 1;
        let next = self.begun.wrapping_mul(0x9e37_79b9);
        let peer_next = self.begun.wrapping_mul(0x85eb_ca6b).wrapping_add(0x2000_0000);
        let older = self.dials.get(&name);
        let is_lost = older.is_some_and(|older| older.is_lost && name.service.owner().is_some());
        let last = self.now;
        let mut dial = Dial { name, uplink: None, next, peer_next, last, is_lost };
        let outcome = self.dial_out(&mut dial, Kind::TcpOpening, 0);
        dial.next = next.wrapping_add(1);
        self.dials.insert(name, dial);
        outcome
    }

    /// The peer accepts, and the host acknowledges that.
    pub(super) fn dial_is_accepted(&mut self, name: Name, uplink: u16) -> Result<(), String> {
        let Some(mut dial) = self.dials.get(&name).copied() else { return Ok(()) };
        if dial.uplink.is_some() || !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        dial.ages(self.now);
        dial.uplink = Some(uplink);
        self.dial_in(&mut dial, Kind::TcpAnswer)?;
        dial.peer_next = dial.peer_next.wrapping_add(1);
        let outcome = self.dial_out(&mut dial, Kind::Tcp, 0);
        self.dials.insert(name, dial);
        outcome
    }

    /// The host sends, and the peer acknowledges.
    pub(super) fn dial_sends(&mut self, name: Name) -> Result<(), String> {
        let Some(mut dial) = self.dials.get(&name).copied() else { return Ok(()) };
        let Some(uplink) = dial.uplink else { return Ok(()) };
        let outcome = self.dial_out(&mut dial, Kind::Tcp, 100);
        dial.next = dial.next.wrapping_add(100);
        if outcome.is_ok() && self.is_up[usize::from(uplink)] {
            self.dial_in(&mut dial, Kind::Tcp)?;
        }
        self.dials.insert(name, dial);
        outcome
    }

    /// The host acknowledges what it has, as it does when somebody sends a SYN.
    pub(super) fn dial_acknowledges(&mut self, name: Name) -> Result<(), String> {
        let Some(mut dial) = self.dials.get(&name).copied() else { return Ok(()) };
        if dial.uplink.is_none() {
            return Ok(());
        }
        let outcome = self.dial_out(&mut dial, Kind::Tcp, 0);
        self.dials.insert(name, dial);
        outcome
    }

    fn dial_in(&mut self, dial: &mut Dial, kind: Kind) -> Result<(), String> {
        let Some(uplink) = dial.uplink else { return Ok(()) };
        dial.ages(self.now);
        let segment = Packet::segment(dial.name.dial(), kind, dial.peer_next, dial.next);
        self.host.comes_in(uplink, &Packet { router: TRUE_ROUTER, ..segment })
    }

    fn dial_out(&mut self, dial: &mut Dial, kind: Kind, length: u32) -> Result<(), String> {
        dial.ages(self.now);
        let segment = Packet::segment(dial.name.dial(), kind, dial.next, dial.peer_next);
        let moved = self.host.leaves(self.by, &segment.with(length))?;
        self.judge(dial.judge(moved))
    }
}
