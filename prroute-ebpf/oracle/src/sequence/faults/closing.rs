//! Ends of connections: true ones, and forged ones.

use prroute_common::time::seconds;

use super::{SHARED, connect, forge, serve, time};
use crate::sequence::event::{End, Event, Forged, Guess, Sequence, Size};

pub(super) fn all() -> Vec<(&'static str, Sequence)> {
    let at_gateways = |events: Vec<Event>| Sequence { last_hop: false, events };
    let mut all = Vec::new();
    for (what, guess) in [
        (Forged::Fin, Guess::InFlight),
        (Forged::Fin, Guess::BeyondSent),
        (Forged::Fin, Guess::BehindHeard),
        (Forged::Reset, Guess::Far),
        (Forged::Reset, Guess::AllSent),
        // With the next number it is none of the attacker's guesses, but the end of the host's connection.
        (Forged::Reset, Guess::BehindHeard),
    ] {
        // What the host sends first after a silence shows whether anything is recorded.
        let (end, then) = match what {
            Forged::Fin => {
                let end = Event::Finish { name: SHARED, end: End::Server };
                (Some(end), Event::FinishAgain { name: SHARED })
            }
            _ => (None, serve(SHARED, Size::Small)),
        };
        let begin = [connect(SHARED, 2)].into_iter().chain(end);
        let rest = [forge(2, what, guess), time(seconds(190)), then];
        all.push((
            "19_the_end_of_a_connection_is_forged",
            at_gateways(begin.chain(rest).collect()),
        ));
    }
    all.push((
        "19_a_closed_connection_sends_its_last_again",
        at_gateways(vec![
            connect(SHARED, 2),
            Event::Close { name: SHARED },
            time(seconds(120)),
            Event::FinishAgain { name: SHARED },
            time(seconds(120)),
            Event::FinishAgain { name: SHARED },
        ]),
    ));
    for end in [End::Client, End::Server] {
        all.push((
            "19_a_connection_is_closed_on_one_side",
            at_gateways(vec![
                connect(SHARED, 2),
                Event::Finish { name: SHARED, end },
                time(seconds(7200)),
                Event::Ask { name: SHARED },
                serve(SHARED, Size::Small),
                Event::FinishAgain { name: SHARED },
            ]),
        ));
    }
    all
}
