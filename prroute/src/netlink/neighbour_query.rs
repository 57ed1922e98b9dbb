//! What the kernel knows of one neighbour: `ip neigh get`.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use nix::errno::Errno;

use super::{Kernel, NetlinkError, decode, encode};
use crate::state::observed::NeighbourState;
use crate::state::plan::NeighbourKey;
use crate::state::uplink::Ifindex;

/// A neighbour, with its link-layer address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourAnswer {
    pub state: NeighbourState,
    /// Empty where there is none.
    pub link_layer_address: Vec<u8>,
    /// How long ago it answered last, as far as the kernel knows it.
    pub last_answer: Option<Duration>,
}

impl Kernel {
    /// The entry of an address on a device; `None`: there is none.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn neighbour(
        &self,
        ifindex: Ifindex,
        address: IpAddr,
    ) -> Result<Option<NeighbourAnswer>, NetlinkError> {
        let key = NeighbourKey { ifindex, address, device: String::new() };
        let message = RouteNetlinkMessage::GetNeighbour(encode::neighbour_key(&key));
        let mut found = None;
        let mut socket = self.socket.lock().await;
        let answer = socket.get(message, |object| {
            if let Ok(RouteNetlinkMessage::NewNeighbour(neighbour)) = object {
                found = answer_of(&neighbour);
            }
        });
        match answer.await {
            Ok(()) => Ok(found),
            Err(refusal) if refusal.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(source) => {
                let operation = format!("ask for the neighbour {address}");
                Err(NetlinkError::Refused { operation, source })
            }
        }
    }
}

fn answer_of(message: &NeighbourMessage) -> Option<NeighbourAnswer> {
    let neighbour = decode::neighbour(message)?;
    let link_layer_address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(address) => Some(address.clone()),
        _ => None,
    });
    Some(NeighbourAnswer {
        state: neighbour.state,
        link_layer_address: link_layer_address.unwrap_or_default(),
        last_answer: neighbour.last_answer(),
    })
}
