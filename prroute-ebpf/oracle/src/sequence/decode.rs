//! Bytes to events and back: three for each event, behind one for the whole.

use proptest::collection::vec;
use proptest::prelude::*;
use prroute_common::address::EXPOSURE;
use prroute_common::flow::{
    OTHER_IDLE, OTHER_REBIND_IDLE, TCP_IDLE, TCP_REBIND_IDLE, UNCONFIRMED_IDLE,
};
use prroute_common::time::{Ticks, seconds};

use super::event::{End, Event, Forged, Guess, Part, Sequence, Size, Socket, Table};
use super::packet::{Name, Service};

/// Longer sequences say nothing that shorter ones do not.
const LONGEST: usize = 40;
const DAY: u64 = 86_400;
/// Limits and what lies around them, and ages at which fewer bits of a stamp wrap.
const TIMES: [Ticks; 33] = [
    1,
    4,
    TCP_REBIND_IDLE / 2,
    TCP_REBIND_IDLE - 1,
    TCP_REBIND_IDLE,
    TCP_REBIND_IDLE + 8,
    UNCONFIRMED_IDLE - 8,
    UNCONFIRMED_IDLE,
    UNCONFIRMED_IDLE + 8,
    OTHER_REBIND_IDLE - 8,
    OTHER_REBIND_IDLE,
    OTHER_REBIND_IDLE + 8,
    seconds(60),
    seconds(100),
    OTHER_IDLE - 8,
    OTHER_IDLE,
    OTHER_IDLE + 8,
    seconds(190),
    seconds(270),
    EXPOSURE - 8,
    EXPOSURE + 8,
    seconds(3600),
    seconds(7200),
    seconds(7800),
    TCP_IDLE - 8,
    TCP_IDLE + 8,
    seconds(DAY),
    1 << 23,
    seconds(14 * DAY),
    seconds(20 * DAY),
    1 << 24,
    seconds(53 * DAY),
    seconds(60 * DAY),
];
/// The first names are likelier: what meets on one says more.
const NAMES: [Name; 8] = [
    Name { service: Service::Shared, port: 0 },
    Name { service: Service::Shared, port: 0 },
    Name { service: Service::Shared, port: 0 },
    Name { service: Service::Shared, port: 0 },
    Name { service: Service::Shared, port: 0 },
    Name { service: Service::Shared, port: 1 },
    Name { service: Service::Owned1, port: 0 },
    Name { service: Service::Owned2, port: 0 },
];
const FORGED: [Forged; 8] = [
    Forged::Syn,
    Forged::SynAck,
    Forged::Ack,
    Forged::DialAck,
    Forged::DialSyn,
    Forged::Reset,
    Forged::Request,
    Forged::Answer,
];
const GUESSES: [Guess; 8] = [
    Guess::Zero,
    Guess::Far,
    Guess::InFlight,
    Guess::InFlight,
    Guess::NearInFlight,
    Guess::BeyondSent,
    Guess::BehindHeard,
    Guess::AllSent,
];

const SOCKETS: [Socket; 3] = [Socket::Connected, Socket::Wildcard, Socket::Bound];

fn of<T: Copy>(choices: &[T], number: u8) -> T {
    choices[usize::from(number) % choices.len()]
}

/// Any bytes are a sequence.
pub fn decode(input: &[u8]) -> Sequence {
    let Some((first, rest)) = input.split_first() else {
        return Sequence { last_hop: false, events: Vec::new() };
    };
    let (words, _) = rest.as_chunks::<3>();
    let events = words.iter().take(LONGEST).map(|word| event(*word)).collect();
    Sequence { last_hop: first % 4 == 3, events }
}

fn event([what, whose, more]: [u8; 3]) -> Event {
    let name = of(&NAMES, whose);
    let uplink = 1 + u16::from(whose >> 3 & 1);
    match what % 36 {
        0 => Event::Syn { name, uplink, has_data: more % 4 == 0 },
        1 if more % 4 == 3 => Event::SynAgain { name },
        1 => Event::SynAck { name },
        2 => Event::Accept { name },
        3..=5 => Event::Connect { name, uplink },
        6..=8 => Event::Serve { name, size: of(&[Size::Small, Size::Window, Size::Huge], more) },
        9 => Event::ServeAgain { name },
        10 => Event::Ask { name },
        11 => Event::AskAgain { name },
        12 => Event::Acknowledge { name, part: of(&[Part::Nothing, Part::Half, Part::All], more) },
        13 => Event::Keepalive { name },
        14 => Event::Move { name, uplink },
        15 => match more % 8 {
            2 => Event::Finish { name, end: End::Client },
            6 => Event::Finish { name, end: End::Server },
            3 | 7 => Event::FinishAgain { name },
            _ => Event::Close { name },
        },
        16..=17 => Event::Request { name, uplink },
        18..=19 => Event::Speak { name },
        20 => Event::Query { name, socket: of(&SOCKETS, more) },
        21 => Event::Answer { name, uplink },
        22..=24 => {
            let guess = of(&GUESSES, more >> 3);
            let what = match of(&FORGED, more) {
                Forged::Ack if more >> 7 != 0 => Forged::Fin,
                Forged::Syn if more >> 7 != 0 => Forged::BrokenSyn,
                what => what,
            };
            Event::Forge { name, uplink, what, guess }
        }
        25..=28 => Event::Time { passes: of(&TIMES, more) },
        29 => match more % 2 {
            0 => Event::Link { uplink, is_up: true },
            _ => Event::Link { uplink, is_up: false },
        },
        30 => Event::Route { by: uplink },
        31 => Event::Dial { name },
        32 => Event::Accepted { name, uplink },
        33..=34 => Event::Say { name },
        _ => match more % 5 {
            0 => Event::Evict { table: Table::Flows },
            1 => Event::Evict { table: Table::Datagrams },
            2 => Event::Evict { table: Table::New },
            3 => Event::Evict { table: Table::Syns },
            _ => Event::Restart,
        },
    }
}

/// Bytes that are decoded to this sequence; an event that no bytes stand for is left out.
pub fn encode(sequence: &Sequence) -> Vec<u8> {
    let mut bytes = vec![if sequence.last_hop { 3 } else { 0 }];
    for wanted in &sequence.events {
        let words = (0..36).flat_map(|what| {
            (0..16).flat_map(move |whose| (0..=255).map(move |more| [what, whose, more]))
        });
        bytes.extend(words.filter(|word| event(*word) == *wanted).take(1).flatten());
    }
    bytes
}

/// Bytes of sequences for properties.
pub fn generated() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(any::<[u8; 3]>(), 1..LONGEST);
    (any::<u8>(), words).prop_map(|(first, words)| [vec![first], words.concat()].concat())
}
