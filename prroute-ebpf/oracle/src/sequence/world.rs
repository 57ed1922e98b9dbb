//! Events become packets, and what the host does with them is judged.

use std::collections::BTreeMap;

use prroute_common::time::Ticks;
use prroute_ebpf::parse::Kind;

use super::connection::{Connection, State};
use super::conversation::Conversation;
use super::event::{Event, Forged, Guess, Part, Socket, Table};
use super::packet::{Name, Packet};

pub const UPLINKS: [u16; 2] = [1, 2];

/// Of the routers that clients are behind, and of the attacker.
const TRUE_ROUTER: u64 = 0x0200_0000_0102;
const FALSE_ROUTER: u64 = 0x0200_0000_6602;
/// Bytes of one segment.
const SEGMENT: u32 = 1000;
/// What may be in flight.
const IN_FLIGHT: u32 = 1 << 29;
/// A SYN comes so much later than what was before, and not in the same tick.
const STEP: Ticks = 2;

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
}

/// What the host asks a peer.
#[derive(Clone, Copy, Debug)]
struct Query {
    socket: Socket,
    /// It has sent, and that is recorded.
    has_sent: bool,
    /// What came in before looks like a question.
    is_captured: bool,
}

impl Query {
    const fn new(socket: Socket) -> Self {
        Self { socket, has_sent: false, is_captured: false }
    }
}

#[derive(Debug)]
pub struct World<H> {
    pub host: H,
    now: Ticks,
    by: u16,
    is_up: [bool; 3],
    connections: BTreeMap<Name, Connection>,
    conversations: BTreeMap<Name, Conversation>,
    forged: BTreeMap<Name, [Option<Ticks>; 3]>,
    begun: u32,
    is_judged: bool,
    has_client: bool,
    queries: BTreeMap<Name, Query>,
}

impl<H: Host> World<H> {
    pub fn new(host: H) -> Self {
        Self {
            host,
            now: 1 << 20,
            by: 1,
            is_up: [true; 3],
            connections: BTreeMap::new(),
            conversations: BTreeMap::new(),
            forged: BTreeMap::new(),
            begun: 0,
            is_judged: true,
            has_client: false,
            queries: BTreeMap::new(),
        }
    }

    /// Without a judgement: two hosts are compared.
    pub fn unjudged(host: H) -> Self {
        Self { is_judged: false, ..Self::new(host) }
    }

    /// # Errors
    ///
    /// Says which packet leaves by an uplink that it must not leave by.
    pub fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Syn { name, uplink, has_data } => self.syn(name, uplink, has_data),
            Event::SynAck { name } => self.syn_ack(name),
            Event::Accept { name } => self.accept(name),
            Event::Connect { name, uplink } => {
                self.syn(name, uplink, false)?;
                self.syn_ack(name)?;
                self.accept(name)
            }
            Event::Serve { name, size } => self.serve(name, size.bytes()),
            Event::ServeAgain { name } => self.with(name, |world, connection| {
                let (at, flight) = (connection.acknowledged, connection.in_flight());
                let length = flight.min(SEGMENT);
                if length == 0 { Ok(()) } else { world.segment_out(connection, at, length) }
            }),
            Event::Ask { name } => self.with(name, |world, connection| {
                let at = connection.client_next;
                connection.client_last = 100;
                world.segment_in(connection, at, 100, true)?;
                connection.client_next = at.wrapping_add(100);
                world.segment_out(connection, connection.server_next, 0)
            }),
            Event::AskAgain { name } => self.with(name, |world, connection| {
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
            Event::Close { name } => self.close(name),
            Event::Request { name, uplink } => self.request(name, uplink, TRUE_ROUTER),
            Event::Speak { name } => self.speak(name),
            Event::Query { name, socket } => self.query(name, socket),
            Event::Answer { name, uplink } => self.answer(name, uplink, TRUE_ROUTER),
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

    fn pass(&mut self, ticks: Ticks) {
        self.now += ticks;
        self.host.time_passes(ticks);
    }

    fn facts(&self, name: Name) -> Facts {
        let forged = self.forged.get(&name).copied().unwrap_or_default();
        Facts { now: self.now, is_up: self.is_up, forged, router: TRUE_ROUTER }
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
        for query in self.queries.values_mut() {
            // Whom a socket without an address has sent to is noted elsewhere.
            let is_noted = query.socket == Socket::Wildcard;
            query.has_sent &= is_noted || matches!(table, Table::Flows | Table::Syns);
        }
        for conversation in self.conversations.values_mut() {
            conversation.is_evicted(table);
        }
    }

    fn judge(&self, outcome: Result<(), String>) -> Result<(), String> {
        if self.is_judged { outcome } else { Ok(()) }
    }

    /// An established connection whose client can send.
    fn with(
        &mut self,
        name: Name,
        what: impl FnOnce(&mut Self, &mut Connection) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let can_send = self.is_up[usize::from(connection.uplink)];
        let outcome = if connection.state == State::Established && can_send {
            what(self, &mut connection)
        } else {
            Ok(())
        };
        self.connections.insert(name, connection);
        outcome
    }

    fn segment_in(
        &mut self,
        connection: &mut Connection,
        sequence: u32,
        length: u32,
        proves: bool,
    ) -> Result<(), String> {
        connection.comes_in(&self.facts(connection.name()), proves);
        let packet = Packet {
            router: TRUE_ROUTER,
            payload: length,
            ..Packet::segment(connection.name().tcp(), Kind::Tcp, sequence, connection.acknowledged)
        };
        self.host.comes_in(connection.uplink, &packet)
    }

    fn segment_out(
        &mut self,
        connection: &mut Connection,
        sequence: u32,
        length: u32,
    ) -> Result<(), String> {
        self.out(connection, Kind::Tcp, sequence, length)
    }

    fn out(
        &mut self,
        connection: &mut Connection,
        kind: Kind,
        sequence: u32,
        length: u32,
    ) -> Result<(), String> {
        connection.ages(self.now);
        let name = connection.name();
        let packet = Packet::segment(name.tcp(), kind, sequence, connection.client_next);
        let packet = packet.with(length);
        let moved = self.host.leaves(self.by, &packet)?;
        let facts = self.facts(name);
        let judged = connection.leaves(self.by, moved, &facts);
        self.judge(judged.map_err(|fault| format!("{packet:?} {fault}")))
    }

    fn syn(&mut self, name: Name, uplink: u16, has_data: bool) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        self.pass(STEP);
        self.begun += 1;
        let facts = self.facts(name);
        let older = self.connections.remove(&name);
        let mut begun = Connection::begin(name, uplink, self.begun, older.as_ref(), &facts);
        let length = if has_data { 100 } else { 0 };
        let sequence = begun.client_next.wrapping_sub(1);
        let packet = Packet {
            router: TRUE_ROUTER,
            payload: length,
            ..Packet::segment(name.tcp(), Kind::TcpOpening, sequence, 0)
        };
        begun.has_data = has_data;
        begun.client_next = begun.client_next.wrapping_add(length);
        self.connections.insert(name, begun);
        self.host.comes_in(uplink, &packet)
    }

    fn syn_ack(&mut self, name: Name) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let mut outcome = Ok(());
        if matches!(connection.state, State::SynSent | State::SynReceived) {
            let first = connection.server_next;
            let sequence = match connection.state {
                State::SynSent => first,
                _ => first.wrapping_sub(1),
            };
            outcome = self.out(&mut connection, Kind::TcpAnswer, sequence, 0);
            connection.server_next = sequence.wrapping_add(1);
            connection.state = State::SynReceived;
        }
        self.connections.insert(name, connection);
        outcome
    }

    fn accept(&mut self, name: Name) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let mut outcome = Ok(());
        let can_send = self.is_up[usize::from(connection.uplink)];
        if connection.state == State::SynReceived && can_send {
            connection.acknowledges(Part::All);
            let next = connection.client_next;
            outcome = self.segment_in(&mut connection, next, 0, true);
            connection.establish();
        }
        self.connections.insert(name, connection);
        outcome
    }

    fn serve(&mut self, name: Name, size: u32) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let may_send = match connection.state {
            State::Established => true,
            State::SynReceived => connection.has_data,
            State::SynSent | State::Closed => false,
        };
        let mut outcome = Ok(());
        if may_send && connection.in_flight() < IN_FLIGHT {
            let first = connection.server_next;
            connection.server_next = first.wrapping_add(size);
            outcome = self.segment_out(&mut connection, first, size.min(SEGMENT));
            if outcome.is_ok() && size > SEGMENT {
                let last = connection.server_next.wrapping_sub(SEGMENT);
                outcome = self.segment_out(&mut connection, last, SEGMENT);
            }
        }
        self.connections.insert(name, connection);
        outcome
    }

    fn close(&mut self, name: Name) -> Result<(), String> {
        self.with(name, |world, connection| {
            connection.acknowledges(Part::All);
            world.segment_in(connection, connection.client_next, 0, true)?;
            connection.client_next = connection.client_next.wrapping_add(1);
            world.segment_out(connection, connection.server_next, 0)?;
            connection.server_next = connection.server_next.wrapping_add(1);
            connection.acknowledges(Part::All);
            world.segment_in(connection, connection.client_next, 0, true)?;
            connection.state = State::Closed;
            Ok(())
        })
    }

    fn request(&mut self, name: Name, uplink: u16, router: u64) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        let facts = self.facts(name);
        let fresh = Conversation::new(name);
        self.conversations.entry(name).or_insert(fresh).comes_in(uplink, &facts);
        self.host
            .comes_in(uplink, &Packet { router, ..Packet::datagram(name.udp(), Socket::Bound) })
    }

    fn speak(&mut self, name: Name) -> Result<(), String> {
        let moved = self.host.leaves(self.by, &Packet::datagram(name.udp(), Socket::Bound))?;
        let (facts, by) = (self.facts(name), self.by);
        let fresh = Conversation::new(name);
        let judged = self.conversations.entry(name).or_insert(fresh).leaves(by, moved, &facts);
        self.judge(judged.map_err(|fault| format!("the service's datagram {fault}")))
    }

    fn query(&mut self, name: Name, socket: Socket) -> Result<(), String> {
        let mut query = self.queries.get(&name).copied().unwrap_or(Query::new(socket));
        let packet = Packet::datagram(name.query(), query.socket);
        let moved = self.host.leaves(self.by, &packet)?;
        self.has_client = true;
        let is_captured = query.is_captured && query.socket != Socket::Connected;
        if moved.is_none() {
            query.is_captured = false;
        }
        query.has_sent = true;
        self.queries.insert(name, query);
        if moved.is_some() && !is_captured {
            return self.judge(Err(format!("the host's own datagram is moved: {moved:?}")));
        }
        Ok(())
    }

    fn answer(&mut self, name: Name, uplink: u16, router: u64) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        // Who sends from a socket that others have written to before it spoke to them is a server,
        // as far as anybody can tell.
        let fresh = Query::new(Socket::Bound);
        match self.queries.get_mut(&name) {
            Some(query) => query.is_captured |= !query.has_sent,
            None if self.has_client => {
                self.queries.insert(name, Query { is_captured: true, ..fresh });
            }
            None => {}
        }
        self.host
            .comes_in(uplink, &Packet { router, ..Packet::datagram(name.query(), Socket::Bound) })
    }

    fn forge(&mut self, name: Name, uplink: u16, what: Forged, guess: Guess) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        let kind = match what {
            Forged::Request => return self.request(name, uplink, FALSE_ROUTER),
            Forged::Answer => return self.answer(name, uplink, FALSE_ROUTER),
            Forged::Syn => Kind::TcpOpening,
            Forged::SynAck => Kind::TcpAnswer,
            Forged::Ack => Kind::Tcp,
            Forged::Reset => Kind::TcpReset,
        };
        let mut connection = self.connections.get_mut(&name);
        if let Some(connection) = &mut connection {
            connection.ages(self.now);
        }
        // Of an unconfirmed connection one number alone proves the client, and on its own uplink what is
        // acknowledged is noted whatever the other number says.
        let is_settled = connection.as_ref().is_some_and(|it| it.is_settled(uplink));
        let guess = match kind {
            // A SYN-ACK that acknowledges a little more than before counts as one for a SYN's data.
            Kind::TcpOpening => Guess::Far,
            _ if is_settled => guess,
            _ => unsettled(guess),
        };
        let (sequence, acknowledgement) =
            connection.map_or((77, 88), |connection| connection.guess(guess));
        self.forged.entry(name).or_default()[usize::from(uplink)] = Some(self.now);
        let facts = self.facts(name);
        if let Some(connection) = self.connections.get_mut(&name) {
            connection.is_forged(uplink, kind, &facts);
        }
        let router = FALSE_ROUTER;
        let packet =
            Packet { router, ..Packet::segment(name.tcp(), kind, sequence, acknowledgement) };
        self.host.comes_in(uplink, &packet)?;
        if kind == Kind::TcpOpening { self.answer_syn(name, sequence) } else { Ok(()) }
    }

    /// The host answers a forged SYN: with an acknowledgement, where a connection is there.
    fn answer_syn(&mut self, name: Name, sequence: u32) -> Result<(), String> {
        match self.connections.get(&name).map(|connection| connection.state) {
            Some(State::Established) => {
                let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
                let next = connection.server_next;
                let outcome = self.segment_out(&mut connection, next, 0);
                self.connections.insert(name, connection);
                outcome
            }
            Some(State::SynSent | State::SynReceived) => Ok(()),
            Some(State::Closed) | None => {
                let acknowledgement = sequence.wrapping_add(1);
                let answer =
                    Packet::segment(name.tcp(), Kind::TcpAnswer, 0x7000_0000, acknowledgement);
                self.host.leaves(self.by, &answer).map(drop)
            }
        }
    }
}

fn unsettled(guess: Guess) -> Guess {
    match guess {
        Guess::AllSent | Guess::InFlight | Guess::NearInFlight => Guess::Far,
        guess => guess,
    }
}
