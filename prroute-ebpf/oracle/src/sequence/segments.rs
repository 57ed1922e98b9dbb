//! TCP connections of clients: what they and the server send.

use prroute_ebpf::wire::parse::Kind;

use super::connection::{Connection, State};
use super::event::Part;
use super::packet::{Name, Packet};
use super::world::{Host, STEP, TRUE_ROUTER, World};

/// Bytes of one segment.
pub(super) const SEGMENT: u32 = 1000;
/// Bytes that come with a SYN.
pub(super) const SYN_DATA: u32 = 100;
/// What may be in flight.
const IN_FLIGHT: u32 = 1 << 29;

impl<H: Host> World<H> {
    /// An established connection whose client can send.
    pub(super) fn with(
        &mut self,
        name: Name,
        what: impl FnOnce(&mut Self, &mut Connection) -> Result<(), String>,
    ) -> Result<(), String> {
        self.with_any(name, |world, connection| {
            if connection.state == State::Established { what(world, connection) } else { Ok(()) }
        })
    }

    /// Likewise one whose client may send data.
    pub(super) fn with_open_client(
        &mut self,
        name: Name,
        what: impl FnOnce(&mut Self, &mut Connection) -> Result<(), String>,
    ) -> Result<(), String> {
        self.with(
            name,
            |world, connection| {
                if connection.client_fin { Ok(()) } else { what(world, connection) }
            },
        )
    }

    /// A connection in any state whose client can send.
    pub(super) fn with_any(
        &mut self,
        name: Name,
        what: impl FnOnce(&mut Self, &mut Connection) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let can_send = self.is_up[usize::from(connection.uplink)];
        let outcome = if can_send { what(self, &mut connection) } else { Ok(()) };
        self.connections.insert(name, connection);
        outcome
    }

    pub(super) fn segment_in(
        &mut self,
        connection: &mut Connection,
        sequence: u32,
        length: u32,
        proves: bool,
    ) -> Result<(), String> {
        let number = connection.acknowledged;
        let packet = Packet::segment(connection.name().tcp(), Kind::Tcp, sequence, number);
        self.comes_in(connection, packet.with(length), proves)
    }

    pub(super) fn comes_in(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
        proves: bool,
    ) -> Result<(), String> {
        connection.comes_in(&self.facts(connection.name()), proves);
        self.host.comes_in(connection.uplink, &Packet { router: TRUE_ROUTER, ..packet })
    }

    pub(super) fn segment_out(
        &mut self,
        connection: &mut Connection,
        sequence: u32,
        length: u32,
    ) -> Result<(), String> {
        let number = connection.client_next;
        let packet = Packet::segment(connection.name().tcp(), Kind::Tcp, sequence, number);
        self.out(connection, packet.with(length))
    }

    pub(super) fn out(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
    ) -> Result<(), String> {
        connection.ages(self.now);
        let name = connection.name();
        let moved = self.host.leaves(self.by, &packet)?;
        let facts = self.facts(name);
        let judged = connection.leaves(self.by, moved, &facts);
        self.judge(judged.map_err(|fault| format!("{packet:?} {fault}")))
    }

    pub(super) fn syn(&mut self, name: Name, uplink: u16, has_data: bool) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        self.pass(STEP);
        self.begun += 1;
        let facts = self.facts(name);
        let older = self.connections.remove(&name);
        let mut begun = Connection::begin(name, uplink, self.begun, older.as_ref(), &facts);
        let length = if has_data { SYN_DATA } else { 0 };
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

    pub(super) fn syn_again(&mut self, name: Name) -> Result<(), String> {
        self.with_any(name, |world, connection| {
            if !connection.is_half_open() {
                return Ok(());
            }
            connection.half_open[usize::from(connection.uplink)] = Some(world.now);
            let behind = 1 + if connection.has_data { SYN_DATA } else { 0 };
            let sequence = connection.client_next.wrapping_sub(behind);
            let packet = Packet::segment(name.tcp(), Kind::TcpOpening, sequence, 0);
            world.comes_in(connection, packet, false)
        })
    }

    pub(super) fn syn_ack(&mut self, name: Name) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let mut outcome = Ok(());
        if matches!(connection.state, State::SynSent | State::SynReceived) {
            let first = connection.server_next;
            let sequence = match connection.state {
                State::SynSent => first,
                _ => first.wrapping_sub(1),
            };
            let number = connection.client_next;
            let answer = Packet::segment(name.tcp(), Kind::TcpAnswer, sequence, number);
            outcome = self.out(&mut connection, answer);
            connection.server_next = sequence.wrapping_add(1);
            connection.state = State::SynReceived;
        }
        self.connections.insert(name, connection);
        outcome
    }

    pub(super) fn accept(&mut self, name: Name) -> Result<(), String> {
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

    pub(super) fn serve(&mut self, name: Name, size: u32) -> Result<(), String> {
        let Some(mut connection) = self.connections.remove(&name) else { return Ok(()) };
        let may_send = match connection.state {
            State::Established => !connection.server_fin,
            State::SynReceived => connection.has_data,
            State::SynSent | State::Closed => false,
        };
        let mut outcome = Ok(());
        if may_send && connection.in_flight() < IN_FLIGHT {
            let first = connection.server_next;
            connection.server_next = first.wrapping_add(size);
            outcome = self.segment_out(&mut connection, first, size.min(SEGMENT));
            connection.is_served_early |= connection.state == State::SynReceived;
            if outcome.is_ok() && size > SEGMENT {
                let last = connection.server_next.wrapping_sub(SEGMENT);
                outcome = self.segment_out(&mut connection, last, SEGMENT);
            }
        }
        self.connections.insert(name, connection);
        outcome
    }
}
