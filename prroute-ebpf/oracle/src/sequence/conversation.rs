//! By which uplink the datagrams of the host's service leave: whoever began decides, and nothing that
//! comes in elsewhere changes that while it goes on.

use prroute_common::flow::{
    ANSWER_TIME, HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, ROUTER_IDLE, UNCONFIRMED_IDLE,
};
use prroute_common::time::Ticks;

use super::connection::SLACK;
use super::event::Table;
use super::packet::Name;
use super::world::{Facts, Moved};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Began {
    #[default]
    Nobody,
    /// The peer, or who speaks in its name.
    Peer(Talk),
    /// The host, by the uplink that the kernel chose.
    Host(Talk),
    /// Too near to a limit.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Talk {
    uplink: u16,
    /// Whom on that link the host's datagrams go to; 0 while it spoke first.
    router: u64,
    began: Ticks,
    last_in: Ticks,
    last: Ticks,
    /// When the host sent last.
    last_out: Ticks,
    is_answered: bool,
    is_confirmed: bool,
    /// The host's own was answered on its uplink.
    is_heard_here: bool,
}

impl Talk {
    fn new(uplink: u16, router: u64, now: Ticks) -> Self {
        let [is_answered, is_confirmed, is_heard_here] = [false; 3];
        let [began, last_in, last, last_out] = [now; 4];
        Self {
            uplink,
            router,
            began,
            last_in,
            last,
            last_out,
            is_answered,
            is_confirmed,
            is_heard_here,
        }
    }

    /// Begun again by the host, in the entry that it has: a confirmed one stays so.
    fn again(self, uplink: u16, now: Ticks) -> Self {
        Self { is_confirmed: self.is_confirmed, ..Self::new(uplink, 0, now) }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    name: Name,
    began: Began,
    /// Another entry may be behind this one.
    has_aged: bool,
}

/// `None` when it is too near to tell.
fn exceeds(ticks: Ticks, limit: Ticks) -> Option<bool> {
    if ticks + SLACK >= limit && ticks <= limit + SLACK { None } else { Some(ticks > limit) }
}

impl Conversation {
    pub(super) fn new(name: Name) -> Self {
        Self { name, began: Began::Nobody, has_aged: false }
    }

    /// A datagram comes in, truly or not.
    pub(super) fn comes_in(&mut self, uplink: u16, router: u64, facts: &Facts) {
        let next = match self.began {
            Began::Nobody => Some(Began::Peer(Talk::new(uplink, router, facts.now))),
            Began::Unknown => None,
            Began::Peer(talk) => self.continues(talk, (uplink, router), facts),
            Began::Host(talk) => self.answers(talk, (uplink, router), facts),
        };
        self.began = next.unwrap_or(Began::Unknown);
    }

    fn continues(
        &mut self,
        mut talk: Talk,
        (uplink, router): (u16, u64),
        facts: &Facts,
    ) -> Option<Began> {
        let now = facts.now;
        let limit = if talk.is_confirmed { OTHER_IDLE } else { UNCONFIRMED_IDLE };
        if exceeds(now.wrapping_sub(talk.last), limit)? {
            self.has_aged = true;
            return Some(Began::Peer(Talk::new(uplink, router, now)));
        }
        if talk.uplink == uplink && facts.last_hop && talk.is_confirmed && talk.router != router {
            // Another router of the link takes over when this one is silent.
            if exceeds(now.wrapping_sub(talk.last_in), ROUTER_IDLE)? {
                (talk.router, talk.last_in, talk.last) = (router, now, now);
            }
            return Some(Began::Peer(talk));
        }
        if talk.uplink == uplink {
            talk.router = router;
            (talk.last_in, talk.last) = (now, now);
            talk.is_confirmed |= talk.is_answered;
            return Some(Began::Peer(talk));
        }
        let is_silent = exceeds(now.wrapping_sub(talk.last_in), OTHER_REBIND_IDLE)?;
        if is_silent || !facts.is_up[usize::from(talk.uplink)] {
            let is_confirmed = talk.is_confirmed;
            return Some(Began::Peer(Talk { is_confirmed, ..Talk::new(uplink, router, now) }));
        }
        Some(Began::Peer(talk))
    }

    fn answers(
        &mut self,
        mut talk: Talk,
        (uplink, router): (u16, u64),
        facts: &Facts,
    ) -> Option<Began> {
        let now = facts.now;
        if exceeds(now.wrapping_sub(talk.last), OTHER_IDLE)? {
            self.has_aged = true;
            return Some(Began::Peer(Talk::new(uplink, router, now)));
        }
        let is_shared = self.name.service.owner().is_none();
        let may_win = is_shared && !talk.is_heard_here && talk.uplink != uplink;
        if may_win
            && exceeds(now.wrapping_sub(talk.last_out), ANSWER_TIME)?
            && !exceeds(now.wrapping_sub(talk.began), HOST_FIRST)?
        {
            let is_confirmed = talk.is_confirmed;
            return Some(Began::Peer(Talk { is_confirmed, ..Talk::new(uplink, router, now) }));
        }
        talk.is_heard_here |= talk.uplink == uplink;
        talk.is_confirmed = true;
        talk.last = now;
        Some(Began::Host(talk))
    }

    /// A datagram of the host leaves by `by`, or was moved.
    pub(super) fn leaves(
        &mut self,
        by: u16,
        moved: Option<Moved>,
        facts: &Facts,
    ) -> Result<(), String> {
        let now = facts.now;
        let told = *self;
        let mut must = by;
        let mut router = None;
        let next = match self.began {
            Began::Nobody => Some(Began::Host(Talk::new(by, 0, now))),
            Began::Unknown => None,
            Began::Host(talk) => exceeds(now.wrapping_sub(talk.last), OTHER_IDLE).map(|is_over| {
                self.has_aged |= is_over;
                // What it sends again is recorded among the confirmed.
                let again = Talk { is_confirmed: true, ..talk };
                let talk = if is_over { talk.again(by, now) } else { again };
                Began::Host(Talk { last: now, last_out: now, ..talk })
            }),
            // Of two entries that are both too old the older one speaks for what the host has not answered.
            Began::Peer(talk)
                if self.has_aged
                    && !talk.is_confirmed
                    && !talk.is_answered
                    && now.wrapping_sub(talk.last) + SLACK >= UNCONFIRMED_IDLE =>
            {
                None
            }
            Began::Peer(talk) => {
                let limit = if talk.is_confirmed { OTHER_IDLE } else { UNCONFIRMED_IDLE };
                exceeds(now.wrapping_sub(talk.last), limit).map(|is_over| {
                    self.has_aged |= is_over;
                    if is_over && !talk.is_answered {
                        return Began::Host(talk.again(by, now));
                    }
                    // The host may speak first after a pause.
                    must = talk.uplink;
                    router = Some(talk.router);
                    Began::Peer(Talk { last: now, is_answered: true, ..talk })
                })
            }
        };
        self.began = next.unwrap_or(Began::Unknown);
        let left = moved.map_or(by, |moved| moved.uplink);
        let is_up = facts.is_up[usize::from(must)];
        if next.is_some() && is_up && left != must {
            return Err(format!("leaves by {left}, and not by {must} as it must: {told:?}"));
        }
        if let (Some(Moved { router: found, .. }), Some(router), true) = (moved, router, is_up)
            && found != 0
            && found != router
        {
            return Err(format!("goes to the router {found:x}, and not to {router:x}: {told:?}"));
        }
        if next.is_some() && !is_up && moved.is_some() {
            return Err(format!("is moved to {left} while {must} is down: {told:?}"));
        }
        Ok(())
    }

    pub(super) fn is_evicted(&mut self, table: Table) {
        let (Began::Peer(talk) | Began::Host(talk)) = self.began else { return };
        let is_gone = match table {
            Table::New => !talk.is_confirmed,
            Table::Datagrams => talk.is_confirmed,
            Table::Flows | Table::Syns => return,
        };
        if self.has_aged {
            self.began = Began::Unknown;
        } else if is_gone {
            self.began = Began::Nobody;
        }
    }
}
