//! How the reply leaves: the device, the next hop and its link-layer address, the size of packets.

use std::net::IpAddr;
use std::time::Duration;

use super::step::{Found, Stage, Step};
use crate::netlink::NeighbourAnswer;
use crate::state::findings::word;
use crate::state::observed::{Link, NeighbourState};

/// Where a packet goes on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// To an address, with what the kernel knows of it; `None`: nothing yet.
    Neighbour { address: IpAddr, known: Option<NeighbourAnswer> },
    /// To a router that is known by its link-layer address.
    Router([u8; 6]),
    /// To the router that the request comes from, whichever that will be.
    Requester,
    /// The device has no link-layer addresses.
    Device,
    /// It could not be found out.
    Unknown(String),
}

/// How the reply leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) link: Link,
    pub(crate) hop: Hop,
    /// A program has moved it there.
    pub(crate) is_moved: bool,
    /// Where the route has one of its own.
    pub(crate) route_mtu: Option<u32>,
    /// Of the device that routing chose, by whose size the sender goes.
    pub(crate) chosen_mtu: u32,
}

impl Exit {
    pub(crate) fn via(&self) -> Option<IpAddr> {
        match &self.hop {
            Hop::Neighbour { address, .. } => Some(*address),
            _ => None,
        }
    }

    pub(crate) fn link_layer_address(&self) -> Option<String> {
        let bytes = match &self.hop {
            Hop::Neighbour { known: Some(known), .. } => known.link_layer_address.clone(),
            Hop::Router(mac) => mac.to_vec(),
            _ => return None,
        };
        (!bytes.is_empty()).then(|| {
            let octets: Vec<String> = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
            octets.join(":")
        })
    }
}

fn age(age: Option<Duration>) -> String {
    age.map(|age| format!(", answered {} s ago", age.as_secs())).unwrap_or_default()
}

pub(crate) fn judge(exit: &Exit) -> Step {
    const STAGE: Stage = Stage::Leaves;
    let Exit { link, hop, .. } = exit;
    let name = &link.name;
    if !(link.admin_up && link.carrier) {
        let what = if link.admin_up { "has no carrier" } else { "is down" };
        return Step::stop(STAGE, format!("{name} {what}"))
            .cause(format!("{name} {what}: the reply does not leave"))
            .remedy(match link.admin_up {
                true => "see to its cable, or to what is at its other end".to_owned(),
                false => format!("ip link set {} up", word(name)),
            });
    }
    let (found, way) = match hop {
        Hop::Device => (Found::Ok, String::new()),
        Hop::Router(_) => {
            let router = exit.link_layer_address().unwrap_or_default();
            (Found::Ok, format!(" to the router {router} that the request came from"))
        }
        Hop::Requester => (Found::Ok, " to the router that the request comes from".to_owned()),
        Hop::Unknown(why) => (Found::Unknown, format!(": {why}")),
        Hop::Neighbour { address, known: None } => {
            (Found::Ok, format!(" via {address}, which is asked for its link-layer address then"))
        }
        Hop::Neighbour { address, known: Some(known) } => match known.state {
            NeighbourState::Failed => return silent(exit, *address),
            NeighbourState::Incomplete => {
                (Found::Unknown, format!(" via {address}, which is asked and has not answered yet"))
            }
            NeighbourState::Probing => {
                let age = age(known.last_answer);
                (Found::Warn, format!("{}{age}, asked again now", via(exit, *address)))
            }
            NeighbourState::Resolved => {
                (Found::Ok, format!("{}{}", via(exit, *address), age(known.last_answer)))
            }
            NeighbourState::Fixed => (Found::Ok, via(exit, *address)),
        },
    };
    let (found, size) = size(exit, found);
    let step = Step::new(STAGE, found, format!("{name}{way}{size}"));
    let step = step.object("device", name).object("mtu", link.mtu);
    exit.via().into_iter().fold(step, |step, via| step.object("via", via))
}

fn via(exit: &Exit, address: IpAddr) -> String {
    let link_layer = exit.link_layer_address().map(|it| format!(" lladdr {it}"));
    format!(" via {address}{}", link_layer.unwrap_or_default())
}

fn silent(exit: &Exit, address: IpAddr) -> Step {
    let name = &exit.link.name;
    Step::stop(Stage::Leaves, format!("{name} via {address}: it does not answer"))
        .cause(format!("{address} on {name} does not answer for its link-layer address"))
        .remedy(format!("see to {address}, or to the link: `ip neigh show dev {}`", word(name)))
        .object("via", address)
}

/// What goes by another device than the one that its sender goes by may be too big there.
fn size(exit: &Exit, found: Found) -> (Found, String) {
    let (here, sender) = (exit.link.mtu, exit.route_mtu.unwrap_or(exit.chosen_mtu));
    match here < sender && exit.is_moved {
        true => {
            let found = if found == Found::Ok { Found::Warn } else { found };
            let text = format!(
                ", MTU {here}: larger packets than that do not fit, and their sender is told"
            );
            (found, text)
        }
        false => (found, format!(", MTU {here} fits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, link};

    fn exit(state: NeighbourState) -> Exit {
        let known = NeighbourAnswer {
            state,
            link_layer_address: vec![0x9a, 0x11, 0x0c, 0x5e, 0, 1],
            last_answer: Some(Duration::from_secs(3)),
        };
        Exit {
            link: link(3, "eth1", None),
            hop: Hop::Neighbour { address: ip("10.71.1.1"), known: Some(known) },
            is_moved: true,
            route_mtu: None,
            chosen_mtu: 1500,
        }
    }

    #[test]
    fn a_next_hop_is_shown_with_its_link_layer_address_and_age() {
        let step = judge(&exit(NeighbourState::Resolved));
        assert_eq!(
            step.detail,
            "eth1 via 10.71.1.1 lladdr 9a:11:0c:5e:00:01, answered 3 s ago, MTU 1500 fits"
        );
        assert_eq!(step.found, Found::Ok);
        assert_eq!(judge(&exit(NeighbourState::Incomplete)).found, Found::Unknown);
    }

    #[test]
    fn a_next_hop_that_does_not_answer_ends_the_way() {
        let step = judge(&exit(NeighbourState::Failed));
        assert_eq!(step.found, Found::Stop);
        assert_eq!(step.detail, "eth1 via 10.71.1.1: it does not answer");
        let mut down = exit(NeighbourState::Resolved);
        down.link.carrier = false;
        assert_eq!(judge(&down).detail, "eth1 has no carrier");
    }

    #[test]
    fn a_smaller_mtu_is_told_of_where_the_sender_goes_by_another() {
        let mut smaller = exit(NeighbourState::Resolved);
        smaller.link.mtu = 1400;
        assert_eq!(judge(&smaller).found, Found::Warn);
        smaller.is_moved = false;
        assert_eq!(judge(&smaller).found, Found::Ok, "its sender knows");
    }
}
