//! Keeping gateways resolved.
//!
//! An ARP request on behalf of a redirected packet carries that packet's source; routers with
//! reverse-path filtering ignore it. So the kernel is told to resolve the gateways itself
//! (`NTF_EXT_MANAGED`, 5.16), or, where it cannot keep them so, to resolve them once (`NTF_USE`):
//! an entry in use is confirmed by the kernel, and one that is dropped is announced to
//! [`super::Monitor`] and asked for again.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;

use super::encode;
use super::request::{Refusal, Socket};
use crate::state::plan::NeighbourKey;

const EINVAL: i32 = 22;

/// Resolves a neighbour and keeps it resolved. The entry carries our protocol number.
pub(super) async fn manage(socket: &mut Socket, key: &NeighbourKey) -> Result<(), Refusal> {
    match change(socket, key, true).await {
        Err(refusal) if refusal.errno() == Some(EINVAL) => change(socket, key, false).await,
        result => result,
    }
}

async fn change(socket: &mut Socket, key: &NeighbourKey, managed: bool) -> Result<(), Refusal> {
    let message = RouteNetlinkMessage::NewNeighbour(encode::neighbour(key, managed));
    socket.change(message, NLM_F_CREATE | NLM_F_REPLACE).await
}
