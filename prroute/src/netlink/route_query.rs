//! What the kernel itself answers: `ip route get TO from FROM`.

use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use nix::errno::Errno;

use super::{Kernel, NetlinkError, encode};
use crate::state::observed::{Family, host_net};
use crate::state::uplink::Ifindex;

impl Kernel {
    /// The interface by which a packet of the host's own leaves; `None`: by none. Where the host itself
    /// has the address `to` it is the loopback interface.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn device_towards(
        &self,
        to: IpAddr,
        from: Option<IpAddr>,
    ) -> Result<Option<Ifindex>, NetlinkError> {
        let mut message = RouteMessage::default();
        let length = |address: IpAddr| host_net(address).prefix_len();
        message.header.address_family = encode::family(Family::of(&to));
        message.header.destination_prefix_length = length(to);
        message.attributes.push(RouteAttribute::Destination(to.into()));
        if let Some(from) = from {
            message.header.source_prefix_length = length(from);
            message.attributes.push(RouteAttribute::Source(from.into()));
        }
        let mut found = None;
        let mut socket = self.socket.lock().await;
        let answer = socket.get(RouteNetlinkMessage::GetRoute(message), |object| {
            if let Ok(RouteNetlinkMessage::NewRoute(route)) = object {
                found = device_of(&route);
            }
        });
        match answer.await {
            Ok(()) => Ok(found),
            // As a route of a type that refuses answers, and as none does.
            Err(refusal) => match refusal.errno() {
                Some(
                    Errno::ENETUNREACH
                    | Errno::EHOSTUNREACH
                    | Errno::EACCES
                    | Errno::EINVAL
                    | Errno::EAGAIN,
                ) => Ok(None),
                _ => {
                    let operation = format!("ask for the route to {to}");
                    Err(NetlinkError::Refused { operation, source: refusal })
                }
            },
        }
    }
}

fn device_of(route: &RouteMessage) -> Option<Ifindex> {
    if !matches!(route.header.kind, RouteType::Unicast | RouteType::Local) {
        return None;
    }
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(ifindex) => Some(Ifindex(*ifindex)),
        _ => None,
    })
}
