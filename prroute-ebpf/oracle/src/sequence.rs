//! Sequences of packets: who truly speaks over which uplink, an attacker who speaks in their names, and
//! time that passes.
//!
//! A [`Host`] is told what comes in and what its sockets send, and says by which uplink that leaves. The
//! flow tables of the host are modelled here ([`Tables`]); the same events run through the programs
//! in the kernel, which must say the same.

mod attacker;
mod closing;
mod connection;
mod conversation;
mod datagrams;
mod decode;
mod dials;
mod event;
pub mod faults;
mod host;
mod judge;
mod packet;
mod segments;
mod tables;
mod world;

pub use decode::{decode, encode, generated};
pub use event::{End, Event, Forged, Guess, Part, Sequence, Size, Socket, Table};
pub use packet::{CLIENT_PORT, Key, Name, Packet, Service};
pub use tables::{Sockets, Tables};
pub use world::{Host, Moved, UPLINKS, World};

/// Runs a sequence of events, as bytes, on the model of the tables.
///
/// # Errors
///
/// Says which packet leaves by an uplink that it must not leave by.
pub fn check_sequence(input: &[u8]) -> Result<(), String> {
    check_events(&decode(input))
}

/// Likewise for events.
///
/// # Errors
///
/// As [`check_sequence`]; the events up to the one at fault are part of it.
pub fn check_events(sequence: &Sequence) -> Result<(), String> {
    let mut world = World::new(Tables::new(Sockets::There, sequence.last_hop), sequence.last_hop);
    for (number, event) in sequence.events.iter().enumerate() {
        world.happens(*event).map_err(|fault| {
            let mut told = fault;
            for (place, event) in sequence.events[..=number].iter().enumerate() {
                told += &format!("\n  {place}: {event:?}");
            }
            format!("{told}\n  last hop: {}", sequence.last_hop)
        })?;
    }
    Ok(())
}
