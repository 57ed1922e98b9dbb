//! Sequences that once went wrong, or would if anything was forgotten.

mod closing;

use prroute_common::address::EXPOSURE;
use prroute_common::flow::{OTHER_IDLE, TCP_IDLE, TCP_REBIND_IDLE};
use prroute_common::time::{Ticks, seconds};

use super::event::{Event, Forged, Guess, Part, Sequence, Size, Socket, Table};
use super::packet::{Name, Service};

const DAY: u64 = 86_400;
const SHARED: Name = Name { service: Service::Shared, port: 0 };
const OWNED: Name = Name { service: Service::Owned2, port: 0 };
const PAUSE: Event = Event::Time { passes: TCP_REBIND_IDLE + 8 };

const fn connect(name: Name, uplink: u16) -> Event {
    Event::Connect { name, uplink }
}

const fn serve(name: Name, size: Size) -> Event {
    Event::Serve { name, size }
}

const fn query(socket: Socket) -> Event {
    Event::Query { name: SHARED, socket }
}

const fn time(passes: Ticks) -> Event {
    Event::Time { passes }
}

const fn forge(uplink: u16, what: Forged, guess: Guess) -> Event {
    Event::Forge { name: SHARED, uplink, what, guess }
}

/// Each with the name of what it must not do.
pub fn all() -> Vec<(&'static str, Sequence)> {
    let at_gateways = |events: Vec<Event>| Sequence { last_hop: false, events };
    let mut all = vec![
        (
            "1_a_port_comes_back_over_another_uplink",
            at_gateways(vec![
                connect(SHARED, 1),
                serve(SHARED, Size::Huge),
                Event::Acknowledge { name: SHARED, part: Part::All },
                Event::Close { name: SHARED },
                PAUSE,
                connect(SHARED, 2),
                serve(SHARED, Size::Small),
                serve(SHARED, Size::Window),
            ]),
        ),
        (
            "1_a_port_comes_back_after_minutes",
            at_gateways(vec![
                connect(SHARED, 1),
                serve(SHARED, Size::Small),
                Event::Close { name: SHARED },
                time(seconds(190)),
                connect(SHARED, 2),
                serve(SHARED, Size::Small),
            ]),
        ),
        (
            "2_a_keepalive_after_two_hours",
            at_gateways(vec![connect(SHARED, 2), time(seconds(7200)), serve(SHARED, Size::Small)]),
        ),
        (
            "2_the_last_keepalive",
            at_gateways(vec![connect(SHARED, 2), time(seconds(7800)), serve(SHARED, Size::Small)]),
        ),
        (
            "3_a_more_specific_route_comes",
            at_gateways(vec![
                Event::Route { by: 2 },
                connect(OWNED, 2),
                time(seconds(60)),
                Event::Route { by: 1 },
                serve(OWNED, Size::Small),
                time(TCP_IDLE + 8),
                serve(OWNED, Size::Small),
            ]),
        ),
        (
            "4_the_host_speaks_first_after_a_pause",
            at_gateways(vec![
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
                Event::Request { name: SHARED, uplink: 2 },
                time(seconds(190)),
                Event::Speak { name: SHARED },
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
            ]),
        ),
        (
            "4_a_request_wins_back_what_the_host_began",
            at_gateways(vec![
                Event::Speak { name: SHARED },
                time(seconds(60)),
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
            ]),
        ),
        (
            "4_the_host_speaks_first_to_a_peer_that_has_moved",
            at_gateways(vec![
                Event::Request { name: SHARED, uplink: 1 },
                Event::Speak { name: SHARED },
                Event::Request { name: SHARED, uplink: 1 },
                time(seconds(190)),
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
                time(seconds(60)),
                Event::Speak { name: SHARED },
            ]),
        ),
        (
            "a_syn_comes_again_behind_its_syn_ack",
            at_gateways(vec![
                Event::Syn { name: SHARED, uplink: 2, has_data: false },
                Event::SynAck { name: SHARED },
                Event::SynAgain { name: SHARED },
                Event::Accept { name: SHARED },
                serve(SHARED, Size::Small),
            ]),
        ),
        (
            "9_data_comes_with_the_syn",
            at_gateways(vec![
                Event::Syn { name: SHARED, uplink: 2, has_data: true },
                Event::SynAck { name: SHARED },
                serve(SHARED, Size::Small),
                Event::Accept { name: SHARED },
            ]),
        ),
        (
            "9_data_comes_with_the_syn_on_the_ports_of_another_connection",
            at_gateways(vec![
                connect(SHARED, 1),
                serve(SHARED, Size::Small),
                Event::Close { name: SHARED },
                PAUSE,
                Event::Syn { name: SHARED, uplink: 2, has_data: true },
                Event::SynAck { name: SHARED },
                serve(SHARED, Size::Small),
                Event::Accept { name: SHARED },
            ]),
        ),
        (
            "9_a_syn_with_data_is_forged_that_the_host_does_not_answer",
            at_gateways(vec![
                forge(2, Forged::BrokenSyn, Guess::Zero),
                time(seconds(1)),
                forge(2, Forged::Ack, Guess::Zero),
                connect(SHARED, 1),
                serve(SHARED, Size::Small),
            ]),
        ),
        (
            "13_an_answer_is_forged_before_the_host_asks",
            at_gateways(vec![
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Connected),
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Connected),
            ]),
        ),
        (
            "13_an_answer_is_forged_when_the_host_has_asked",
            at_gateways(vec![
                query(Socket::Wildcard),
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Wildcard),
                time(OTHER_IDLE + 8),
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Wildcard),
            ]),
        ),
        (
            "13_an_answer_is_forged_when_the_hosts_flow_is_evicted",
            at_gateways(vec![
                query(Socket::Wildcard),
                Event::Evict { table: Table::New },
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Wildcard),
            ]),
        ),
        (
            "13_an_answer_is_forged_to_a_socket_with_an_address",
            at_gateways(vec![
                query(Socket::Bound),
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Bound),
                time(OTHER_IDLE + 8),
                forge(2, Forged::Answer, Guess::Zero),
                query(Socket::Bound),
            ]),
        ),
        (
            "13_a_connection_of_the_hosts_own_is_answered_elsewhere",
            at_gateways(vec![
                Event::Dial { name: SHARED },
                forge(2, Forged::DialSyn, Guess::Zero),
                PAUSE,
                Event::Accepted { name: SHARED, uplink: 2 },
                Event::Say { name: SHARED },
                PAUSE,
                forge(2, Forged::DialSyn, Guess::Zero),
                PAUSE,
                Event::Say { name: SHARED },
                Event::Say { name: SHARED },
            ]),
        ),
        (
            "14_datagrams_push_everything_out",
            at_gateways(vec![
                connect(SHARED, 2),
                time(seconds(60)),
                Event::Evict { table: Table::Datagrams },
                Event::Evict { table: Table::New },
                serve(SHARED, Size::Small),
            ]),
        ),
    ];
    for guess in [Guess::InFlight, Guess::NearInFlight, Guess::BeyondSent, Guess::AllSent] {
        all.push((
            "15_a_stalled_download_is_guessed_at",
            at_gateways(vec![
                connect(SHARED, 1),
                serve(SHARED, Size::Window),
                PAUSE,
                forge(2, Forged::Ack, guess),
                Event::ServeAgain { name: SHARED },
            ]),
        ));
    }
    all.push((
        "15_a_client_moves",
        at_gateways(vec![
            connect(SHARED, 1),
            serve(SHARED, Size::Window),
            PAUSE,
            Event::Move { name: SHARED, uplink: 2 },
            Event::Acknowledge { name: SHARED, part: Part::Half },
            Event::ServeAgain { name: SHARED },
        ]),
    ));
    for what in [Forged::Reset, Forged::Syn, Forged::SynAck, Forged::Ack] {
        all.push((
            "16_a_router_is_forged",
            Sequence {
                last_hop: true,
                events: vec![
                    Event::Route { by: 2 },
                    connect(SHARED, 2),
                    forge(2, what, Guess::Far),
                    serve(SHARED, Size::Small),
                ],
            },
        ));
    }
    all.push((
        "16_a_router_of_datagrams_is_forged",
        Sequence {
            last_hop: true,
            events: vec![
                Event::Route { by: 2 },
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
                Event::Request { name: SHARED, uplink: 2 },
                forge(2, Forged::Request, Guess::Zero),
                Event::Speak { name: SHARED },
            ],
        },
    ));
    for age in [
        seconds(DAY),
        1 << 23,
        seconds(14 * DAY),
        seconds(20 * DAY),
        1 << 24,
        seconds(53 * DAY),
        seconds(60 * DAY),
    ] {
        let age = time(age);
        all.push((
            "18_a_stamp_is_old",
            at_gateways(vec![
                Event::Request { name: SHARED, uplink: 1 },
                Event::Speak { name: SHARED },
                Event::Request { name: SHARED, uplink: 1 },
                connect(OWNED, 1),
                age,
                Event::Request { name: SHARED, uplink: 2 },
                Event::Speak { name: SHARED },
                Event::Route { by: 2 },
                connect(OWNED, 2),
                connect(SHARED, 2),
                serve(SHARED, Size::Small),
            ]),
        ));
    }
    all.push((
        "18_an_address_is_exposed_no_more",
        at_gateways(vec![
            connect(OWNED, 1),
            time(EXPOSURE + 8),
            Event::Route { by: 2 },
            connect(Name { port: 1, ..OWNED }, 2),
            serve(Name { port: 1, ..OWNED }, Size::Small),
        ]),
    ));
    all.extend(closing::all());
    all
}
