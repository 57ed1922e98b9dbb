//! How connections of clients end: FINs, in either order, and what is sent of them again.

use prroute_ebpf::wire::parse::Kind;

use super::connection::{Connection, State};
use super::event::Part;
use super::packet::{Name, Packet};
use super::world::{Host, World};

impl<H: Host> World<H> {
    /// The client's FIN, the first time or again.
    fn fin_in(&mut self, connection: &mut Connection) -> Result<(), String> {
        if !connection.client_fin {
            connection.client_fin = true;
            connection.client_next = connection.client_next.wrapping_add(1);
        }
        let (key, number) = (connection.name().tcp(), connection.acknowledged);
        let at = connection.client_next.wrapping_sub(1);
        let fin = Packet::segment(key, Kind::Tcp, at, number).with_fin(true);
        self.comes_in(connection, fin, true)
    }

    /// The server's.
    fn fin_out(&mut self, connection: &mut Connection) -> Result<(), String> {
        if !connection.server_fin {
            connection.server_fin = true;
            connection.server_next = connection.server_next.wrapping_add(1);
        }
        let (key, number) = (connection.name().tcp(), connection.client_next);
        let at = connection.server_next.wrapping_sub(1);
        let fin = Packet::segment(key, Kind::Tcp, at, number).with_fin(true);
        self.out(connection, fin)
    }

    fn acknowledge_in(&mut self, connection: &mut Connection) -> Result<(), String> {
        connection.acknowledges(Part::All);
        self.segment_in(connection, connection.client_next, 0, true)
    }

    pub(super) fn client_finishes(&mut self, name: Name) -> Result<(), String> {
        self.with_open_client(name, |world, connection| {
            world.fin_in(connection)?;
            world.segment_out(connection, connection.server_next, 0)?;
            connection.may_be_closed();
            Ok(())
        })
    }

    pub(super) fn server_finishes(&mut self, name: Name) -> Result<(), String> {
        self.with(name, |world, connection| {
            if connection.server_fin {
                return Ok(());
            }
            world.fin_out(connection)?;
            world.acknowledge_in(connection)?;
            connection.may_be_closed();
            Ok(())
        })
    }

    pub(super) fn close(&mut self, name: Name) -> Result<(), String> {
        self.with(name, |world, connection| {
            connection.acknowledges(Part::All);
            world.fin_in(connection)?;
            world.fin_out(connection)?;
            world.acknowledge_in(connection)?;
            connection.may_be_closed();
            Ok(())
        })
    }

    /// What was not acknowledged, as far as its sender knows.
    pub(super) fn finish_again(&mut self, name: Name) -> Result<(), String> {
        self.with_any(name, |world, connection| {
            if connection.client_fin {
                world.fin_in(connection)?;
                world.segment_out(connection, connection.server_next, 0)?;
            }
            if connection.server_fin { world.fin_out(connection) } else { Ok(()) }
        })
    }
}

impl Connection {
    fn may_be_closed(&mut self) {
        if self.client_fin && self.server_fin {
            self.state = State::Closed;
        }
    }
}
