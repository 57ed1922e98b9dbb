//! How a flow stands.

use crate::datapath::flows::FlowRecord;
use crate::datapath::targets::Obstacle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not confirmed yet.
    New,
    /// Both ends have shown that they take part.
    Ok,
    /// Its uplink cannot be used: its replies follow the routing tables.
    Fall,
    /// A TCP connection that has closed: remembered until nothing of it is sent any more.
    Fin,
    /// Too old to count: its entry stays until another flow needs the room.
    Idle,
}

impl State {
    pub(super) const ALL: [Self; 5] = [Self::New, Self::Ok, Self::Fall, Self::Fin, Self::Idle];
    /// What may stand behind `state`.
    pub(super) const WORDS: &str = "live, new, ok, fall, fin, idle, all";

    /// `obstacle` is what keeps its replies from its uplink.
    pub(super) fn of(record: &FlowRecord, obstacle: Option<Obstacle>) -> Self {
        match record {
            FlowRecord { is_over: true, .. } => Self::Idle,
            FlowRecord { closed: true, .. } => Self::Fin,
            // What the host opened is never moved.
            FlowRecord { opened_inbound: true, .. } if obstacle.is_some() => Self::Fall,
            FlowRecord { confirmed: true, .. } => Self::Ok,
            _ => Self::New,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ok => "ok",
            Self::Fall => "fall",
            Self::Fin => "fin",
            Self::Idle => "idle",
        }
    }

    /// Whether it is listed where no state is asked for.
    pub(super) const fn lives(self) -> bool {
        matches!(self, Self::New | Self::Ok | Self::Fall)
    }
}
