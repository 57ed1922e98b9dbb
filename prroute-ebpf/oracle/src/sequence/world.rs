//! Events become packets, and what the host does with them is judged.

use std::collections::BTreeMap;

use prroute_common::time::Ticks;

use super::connection::Connection;
use super::conversation::Conversation;
use super::datagrams::Query;
use super::dials::Dial;
use super::event::{End, Event, Socket, Table};
use super::packet::{Name, Packet};
use super::segments::SEGMENT;

pub const UPLINKS: [u16; 2] = [1, 2];

/// Of the routers that clients are behind, and of the attacker.
pub(super) const TRUE_ROUTER: u64 = 0x0200_0000_0102;
pub(super) const FALSE_ROUTER: u64 = 0x0200_0000_6602;
/// A SYN comes so much later than what was before, and not in the same tick.
pub(super) const STEP: Ticks = 2;

/// A packet was moved to an uplink, and to a router there unless that is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub uplink: u16,
    pub router: u64,
}

/// What packets are put through: the model of the tables, or the programs in the kernel.
pub trait Host {
    /// # Errors
    ///
    /// What makes a host disagree with itself.
    fn comes_in(&mut self, uplink: u16, packet: &Packet) -> Result<(), String>;
    /// A packet is about to leave by `by`; `None` if it does.
    ///
    /// # Errors
    ///
    /// As [`Host::comes_in`].
    fn leaves(&mut self, by: u16, packet: &Packet) -> Result<Option<Moved>, String>;
    fn time_passes(&mut self, ticks: Ticks);
    fn link(&mut self, uplink: u16, is_up: bool);
    fn evict(&mut self, table: Table);
    fn restart(&mut self);
}

/// What connections are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) now: Ticks,
    pub(super) is_up: [bool; 3],
    /// When an attacker sent in this name, by uplink.
    pub(super) forged: [Option<Ticks>; 3],
    /// The client's.
    pub(super) router: u64,
    pub(super) last_hop: bool,
}

#[derive(Debug)]
pub struct World<H> {
    pub host: H,
    last_hop: bool,
    pub(super) now: Ticks,
    pub(super) by: u16,
    pub(super) is_up: [bool; 3],
    pub(super) connections: BTreeMap<Name, Connection>,
    pub(super) conversations: BTreeMap<Name, Conversation>,
    pub(super) dials: BTreeMap<Name, Dial>,
    pub(super) forged: BTreeMap<Name, [Option<Ticks>; 3]>,
    pub(super) begun: u32,
    is_judged: bool,
    pub(super) has_client: bool,
    pub(super) queries: BTreeMap<Name, Query>,
}

impl<H: Host> World<H> {
    pub fn new(host: H, last_hop: bool) -> Self {
        Self {
            host,
            last_hop,
            now: 1 << 20,
            by: 1,
            is_up: [true; 3],
            connections: BTreeMap::new(),
            conversations: BTreeMap::new(),
            dials: BTreeMap::new(),
            forged: BTreeMap::new(),
            begun: 0,
            is_judged: true,
            has_client: false,
            queries: BTreeMap::new(),
        }
    }

    /// Without a judgement: two hosts are compared.
    pub fn unjudged(host: H, last_hop: bool) -> Self {
        Self { is_judged: false, ..Self::new(host, last_hop) }
    }

    /// # Errors
    ///
    /// Says which packet leaves by an uplink that it must not leave by.
    pub fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Syn { name, uplink, has_data } => self.syn(name, uplink, has_data),
            Event::SynAck { name } => self.syn_ack(name),
            Event::SynAgain { name } => self.syn_again(name),
            Event::Accept { name } => self.accept(name),
            Event::Connect { name, uplink } => {
                self.syn(name, uplink, false)?;
                self.syn_ack(name)?;
                self.accept(name)
            }
            Event::Serve { name, size } => self.serve(name, size.bytes()),
            Event::ServeAgain { name } => self.with(name, |world, connection| {
                let (at, flight) = (connection.acknowledged, connection.in_flight());
                let data = flight.saturating_sub(connection.server_fin.into());
                let length = data.min(SEGMENT);
                if length == 0 { Ok(()) } else { world.segment_out(connection, at, length) }
            }),
            Event::Ask { name } => self.with_open_client(name, |world, connection| {
                let at = connection.client_next;
                connection.client_last = 100;
                world.segment_in(connection, at, 100, true)?;
                connection.client_next = at.wrapping_add(100);
                world.segment_out(connection, connection.server_next, 0)
            }),
            Event::AskAgain { name } => self.with_open_client(name, |world, connection| {
                let length = connection.client_last;
                let at = connection.client_next.wrapping_sub(length);
                let proves = length == 0 || connection.again_proves();
                world.segment_in(connection, at, length, proves)?;
                world.segment_out(connection, connection.server_next, 0)
            }),
            Event::Acknowledge { name, part } => self.with(name, |world, connection| {
                connection.acknowledges(part);
                world.segment_in(connection, connection.client_next, 0, true)
            }),
            Event::Keepalive { name } => self.with(name, |world, connection| {
                world.segment_in(connection, connection.client_next.wrapping_sub(1), 0, true)?;
                world.segment_out(connection, connection.server_next, 0)
            }),
            Event::Move { name, uplink } => {
                if let Some(connection) = self.connections.get_mut(&name) {
                    connection.moves(uplink);
                }
                Ok(())
            }
            Event::Finish { name, end: End::Client } => self.client_finishes(name),
            Event::Finish { name, end: End::Server } => self.server_finishes(name),
            Event::Close { name } => self.close(name),
            Event::FinishAgain { name } => self.finish_again(name),
            Event::Request { name, uplink } => self.request(name, uplink, TRUE_ROUTER),
            Event::Speak { name } => self.speak(name),
            Event::Query { name, socket } => self.query(name, socket),
            Event::Answer { name, uplink } => self.answer(name, uplink, TRUE_ROUTER),
            Event::Dial { name } => self.dial(name),
            Event::Accepted { name, uplink } => self.dial_is_accepted(name, uplink),
            Event::Say { name } => self.dial_sends(name),
            Event::Forge { name, uplink, what, guess } => self.forge(name, uplink, what, guess),
            Event::Time { passes } => {
                self.pass(passes);
                Ok(())
            }
            Event::Link { uplink, is_up } => {
                self.is_up[usize::from(uplink)] = is_up;
                self.host.link(uplink, is_up);
                Ok(())
            }
            Event::Route { by } => {
                self.by = by;
                Ok(())
            }
            Event::Evict { table } => {
                self.evict(table);
                Ok(())
            }
            Event::Restart => {
                self.host.restart();
                Ok(())
            }
        }
    }

    pub(super) fn pass(&mut self, ticks: Ticks) {
        self.now += ticks;
        self.host.time_passes(ticks);
    }

    pub(super) fn facts(&self, name: Name) -> Facts {
        let forged = self.forged.get(&name).copied().unwrap_or_default();
        Facts {
            now: self.now,
            is_up: self.is_up,
            forged,
            router: TRUE_ROUTER,
            last_hop: self.last_hop,
        }
    }

    fn evict(&mut self, table: Table) {
        self.host.evict(table);
        for connection in self.connections.values_mut() {
            let is_gone = match table {
                Table::Flows => connection.is_confirmed() || connection.has_older(),
                Table::New | Table::Syns => !connection.is_confirmed(),
                Table::Datagrams => false,
            };
            if is_gone {
                connection.forget();
            }
        }
        for dial in self.dials.values_mut() {
            dial.is_evicted(table);
        }
        for query in self.queries.values_mut() {
            // Whom a socket without an address has sent to is noted elsewhere.
            let is_noted = query.socket == Socket::Wildcard;
            query.has_sent &= is_noted || matches!(table, Table::Flows | Table::Syns);
        }
        for conversation in self.conversations.values_mut() {
            conversation.is_evicted(table);
        }
    }

    pub(super) fn judge(&self, outcome: Result<(), String>) -> Result<(), String> {
        if self.is_judged { outcome } else { Ok(()) }
    }
}
