//! What may happen.

use prroute_common::time::Ticks;

use super::packet::Name;

/// Events in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The uplinks note routers, and answer to them.
    pub last_hop: bool,
    pub events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's SYN, with data where it has a cookie. On the ports of a connection that is there it
    /// begins another one.
    Syn {
        name: Name,
        uplink: u16,
        has_data: bool,
    },
    SynAck {
        name: Name,
    },
    /// The client sends its SYN again, without data: the SYN-ACK is late.
    SynAgain {
        name: Name,
    },
    /// The client acknowledges the SYN-ACK.
    Accept {
        name: Name,
    },
    /// The three of them.
    Connect {
        name: Name,
        uplink: u16,
    },
    /// The server sends.
    Serve {
        name: Name,
        size: Size,
    },
    /// The server sends the first segment that is not acknowledged again.
    ServeAgain {
        name: Name,
    },
    /// The client sends, and the server acknowledges.
    Ask {
        name: Name,
    },
    /// The client sends its last data again.
    AskAgain {
        name: Name,
    },
    /// The client acknowledges a part of what is in flight.
    Acknowledge {
        name: Name,
        part: Part,
    },
    /// The client's keepalive.
    Keepalive {
        name: Name,
    },
    /// The client sends over another uplink from now on.
    Move {
        name: Name,
        uplink: u16,
    },
    /// One end sends its FIN, which the other acknowledges; it receives still.
    Finish {
        name: Name,
        end: End,
    },
    /// Both ends do.
    Close {
        name: Name,
    },
    /// What has sent a FIN sends it again, and a client's is acknowledged again.
    FinishAgain {
        name: Name,
    },
    /// A datagram to the host's service.
    Request {
        name: Name,
        uplink: u16,
    },
    /// A datagram of the host's service: an answer, or unasked.
    Speak {
        name: Name,
    },
    /// The host asks the peer's service from a client port.
    Query {
        name: Name,
        socket: Socket,
    },
    /// The peer's answer to that.
    Answer {
        name: Name,
        uplink: u16,
    },
    /// The host's SYN to the peer's service.
    Dial {
        name: Name,
    },
    /// The peer accepts that.
    Accepted {
        name: Name,
        uplink: u16,
    },
    /// The host sends to the peer's service.
    Say {
        name: Name,
    },
    /// An attacker speaks in the peer's name.
    Forge {
        name: Name,
        uplink: u16,
        what: Forged,
        guess: Guess,
    },
    Time {
        passes: Ticks,
    },
    Link {
        uplink: u16,
        is_up: bool,
    },
    /// The kernel sends what no program moves by this uplink.
    Route {
        by: u16,
    },
    /// Others' flows push everything out of a table.
    Evict {
        table: Table,
    },
    /// The daemon is started again.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Client,
    Server,
}

/// From what the host asks others; of one name always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    Connected,
    /// Neither connected nor bound to an address.
    Wildcard,
    /// Bound to an address, and not connected.
    Bound,
}

/// Bytes of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Window,
    Huge,
}

impl Size {
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::Small => 300,
            Self::Window => 473 << 10,
            Self::Huge => 200_000_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Nothing,
    Half,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forged {
    Syn,
    /// One with data and a number a little before that of the SYN that the host answers: its checksum is
    /// wrong, and the other one came in fragments.
    BrokenSyn,
    SynAck,
    Ack,
    Fin,
    Reset,
    /// To the host's end of a connection that it opened.
    DialSyn,
    DialAck,
    /// A datagram to the host's service.
    Request,
    /// A datagram to a client port of the host.
    Answer,
}

/// The numbers of a forged segment. The attacker never knows them: each guess has one that is right at
/// most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    Zero,
    Far,
    /// Acknowledges the middle of what is in flight; the sequence number is megabytes off.
    InFlight,
    /// Acknowledges the middle of what is in flight; the sequence number is a hundred bytes off.
    NearInFlight,
    /// The next sequence number; acknowledges more than was sent.
    BeyondSent,
    /// The next sequence number; acknowledges less than was acknowledged.
    BehindHeard,
    /// Acknowledges exactly what was sent; the sequence number is megabytes off.
    AllSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Flows,
    Datagrams,
    New,
    Syns,
}
