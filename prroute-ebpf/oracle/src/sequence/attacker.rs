//! What an attacker sends in somebody's name.

use prroute_ebpf::wire::parse::Kind;

use super::connection::State;
use super::event::{Forged, Guess};
use super::packet::{Name, Packet};
use super::segments::SYN_DATA;
use super::world::{FALSE_ROUTER, Host, World};

impl<H: Host> World<H> {
    pub(super) fn forge(
        &mut self,
        name: Name,
        uplink: u16,
        what: Forged,
        guess: Guess,
    ) -> Result<(), String> {
        if !self.is_up[usize::from(uplink)] {
            return Ok(());
        }
        let kind = match what {
            Forged::Request => return self.request(name, uplink, FALSE_ROUTER),
            Forged::Answer => return self.answer(name, uplink, FALSE_ROUTER),
            Forged::DialSyn => return self.forge_to_dial(name, uplink, Kind::TcpOpening),
            Forged::DialAck => return self.forge_to_dial(name, uplink, Kind::Tcp),
            Forged::Syn | Forged::BrokenSyn => Kind::TcpOpening,
            Forged::SynAck => Kind::TcpAnswer,
            Forged::Ack | Forged::Fin => Kind::Tcp,
            Forged::Reset => Kind::TcpReset,
        };
        let mut connection = self.connections.get_mut(&name);
        if let Some(connection) = &mut connection {
            connection.ages(self.now);
        }
        // Of an unconfirmed connection one number alone proves the client.
        let is_settled = connection.as_ref().is_some_and(|it| it.is_settled());
        let guess = match kind {
            _ if is_settled => guess,
            _ => unsettled(guess),
        };
        let (sequence, acknowledgement) =
            connection.map_or((77, 88), |connection| connection.guess(guess));
        self.forged.entry(name).or_default()[usize::from(uplink)] = Some(self.now);
        let facts = self.facts(name);
        if let Some(connection) = self.connections.get_mut(&name) {
            connection.is_forged(uplink, &facts);
        }
        let router = FALSE_ROUTER;
        let (before, length) = if what == Forged::BrokenSyn { (10, SYN_DATA) } else { (0, 0) };
        let number = sequence.wrapping_sub(before);
        let segment = Packet::segment(name.tcp(), kind, number, acknowledgement).with(length);
        let packet = Packet { router, ..segment.with_fin(what == Forged::Fin) };
        self.host.comes_in(uplink, &packet)?;
        match kind {
            Kind::TcpOpening => self.answer_syn(name, sequence),
            Kind::TcpReset => {
                self.resets(name, sequence);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The host's end of a connection is gone with a reset that has the number that it expects, whatever that
    /// acknowledges (RFC 9293, 3.10.7.4; RFC 5961, 3): whoever guesses this one has ended the connection.
    fn resets(&mut self, name: Name, sequence: u32) {
        if let Some(connection) = self.connections.get_mut(&name)
            && connection.is_confirmed()
            && connection.client_next == sequence
        {
            connection.state = State::Closed;
        }
    }

    /// To the host's end of a connection that it opened.
    fn forge_to_dial(&mut self, name: Name, uplink: u16, kind: Kind) -> Result<(), String> {
        let Some(dial) = self.dials.get_mut(&name) else { return Ok(()) };
        let (sequence, acknowledgement) = dial.guess();
        let segment = Packet::segment(name.dial(), kind, sequence, acknowledgement);
        self.host.comes_in(uplink, &Packet { router: FALSE_ROUTER, ..segment })?;
        if kind == Kind::TcpOpening { self.dial_acknowledges(name) } else { Ok(()) }
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
