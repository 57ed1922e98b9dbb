//! Datagrams: asked of the host's service, or by the host of others.

use super::conversation::Conversation;
use super::event::Socket;
use super::packet::{Name, Packet};
use super::world::{Host, World};

/// What the host asks a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) socket: Socket,
    /// It has sent, and that is recorded.
    pub(super) has_sent: bool,
    /// What came in before looks like a question.
    is_captured: bool,
}

impl Query {
    const fn new(socket: Socket) -> Self {
        Self { socket, has_sent: false, is_captured: false }
    }
}

impl<H: Host> World<H> {
    pub(super) fn request(&mut self, name: Name, uplink: u16, router: u64) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        let facts = self.facts(name);
        let fresh = Conversation::new(name);
        self.conversations.entry(name).or_insert(fresh).comes_in(uplink, router, &facts);
        self.host
            .comes_in(uplink, &Packet { router, ..Packet::datagram(name.udp(), Socket::Bound) })
    }

    pub(super) fn speak(&mut self, name: Name) -> Result<(), String> {
        let moved = self.host.leaves(self.by, &Packet::datagram(name.udp(), Socket::Bound))?;
        let (facts, by) = (self.facts(name), self.by);
        let fresh = Conversation::new(name);
        let judged = self.conversations.entry(name).or_insert(fresh).leaves(by, moved, &facts);
        self.judge(judged.map_err(|fault| format!("the service's datagram {fault}")))
    }

    pub(super) fn query(&mut self, name: Name, socket: Socket) -> Result<(), String> {
        let mut query = self.queries.get(&name).copied().unwrap_or(Query::new(socket));
        let packet = Packet::datagram(name.query(), query.socket);
        let moved = self.host.leaves(self.by, &packet)?;
        self.has_client = true;
        let is_captured = query.is_captured && query.socket != Socket::Connected;
        query.has_sent = true;
        self.queries.insert(name, query);
        if moved.is_some() && !is_captured {
            return self.judge(Err(format!("the host's own datagram is moved: {moved:?}")));
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, name: Name, uplink: u16, router: u64) -> Result<(), String> {
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
}
