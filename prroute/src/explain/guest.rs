//! Who answers behind the host: a container, a virtual machine, another router.

use std::net::IpAddr;

use super::step::{Found, Stage, Step};
use crate::netlink::NeighbourAnswer;
use crate::state::observed::NeighbourState;

/// The next hop to the guest, and what the kernel knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Guest<'a> {
    pub(crate) address: IpAddr,
    pub(crate) device: &'a str,
    pub(crate) is_up: bool,
    /// The device is an uplink of prroute: packets are in transit.
    pub(crate) is_uplink: bool,
    pub(crate) neighbour: Option<NeighbourAnswer>,
}

pub(crate) fn judge(guest: &Guest<'_>) -> Step {
    const STAGE: Stage = Stage::Guest;
    let Guest { address, device, is_up, is_uplink, neighbour } = guest;
    let state = neighbour.as_ref().map(|neighbour| neighbour.state);
    let at = format!("{address} dev {device}");
    match (is_up, state, is_uplink) {
        (false, ..) => Step::stop(STAGE, format!("{device} is down"))
            .cause(format!("{device}, by which {address} is reached, is down")),
        (_, Some(NeighbourState::Failed), _) => {
            Step::stop(STAGE, format!("{at}: it does not answer"))
                .cause(format!("{address} on {device} does not answer for its link-layer address"))
                .remedy("see that the guest runs, and has this address")
        }
        (.., true) => {
            let detail =
                format!("{at}: an uplink: the packet is in transit, and prroute leaves it");
            Step::new(STAGE, Found::Warn, detail)
        }
        _ => Step::ok(STAGE, format!("{at} (what listens there is not looked at)")),
    }
    .object("device", device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::ip;

    #[test]
    fn a_guest_that_does_not_answer_ends_the_way() {
        let neighbour = |state| {
            Some(NeighbourAnswer { state, link_layer_address: Vec::new(), last_answer: None })
        };
        let guest = Guest {
            address: ip("172.17.0.2"),
            device: "docker0",
            is_up: true,
            is_uplink: false,
            neighbour: None,
        };
        assert_eq!(judge(&guest).found, Found::Ok, "it is asked when there is a packet");
        let silent = Guest { neighbour: neighbour(NeighbourState::Failed), ..guest.clone() };
        assert_eq!(judge(&silent).found, Found::Stop);
        let transit = Guest { is_uplink: true, ..guest.clone() };
        assert_eq!(judge(&transit).found, Found::Warn);
        assert_eq!(judge(&Guest { is_up: false, ..guest }).detail, "docker0 is down");
    }
}
