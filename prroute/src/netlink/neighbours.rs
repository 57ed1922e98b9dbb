//! Keeping gateways resolved.
//!
//! An ARP request on behalf of a redirected packet carries that packet's source; routers with
//! reverse-path filtering ignore it. So the kernel is told to resolve the gateways itself
//! (`NTF_EXT_MANAGED`, 5.16), or, where it cannot keep them so, to resolve them once (`NTF_USE`):
//! an entry in use is confirmed by the kernel, and one that is dropped is announced to
//! [`super::Monitor`] and asked for again.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use super::request::{Refusal, Socket};
use super::{Kernel, NetlinkError, encode};
use crate::state::gateways::KeptGateway;
use crate::state::plan::NeighbourKey;

impl Kernel {
    /// Has gateways of ours that failed tried again, where the kernel does not do so itself
    /// (before 5.16). Call it every few seconds while a gateway is unusable.
    pub async fn resolve_gateways(&self, gateways: &[NeighbourKey]) -> Result<(), NetlinkError> {
        let mut socket = self.socket.lock().await;
        for key in gateways {
            let operation = || format!("resolve gateway {} on {}", key.address, key.device);
            let refused = |source| NetlinkError::Refused { operation: operation(), source };
            manage(&mut socket, key).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Has the kernel ask gateways that it has an address for whether they are still there, by one
    /// packet to each; it repeats the question while there is no answer. Packets go there as
    /// before until it gives up. Without this it asks when an entry has got old, after 15 to 45
    /// seconds, and hardly anything but a request of the host's own makes an entry young again.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked. An entry that is gone, or has no address, is passed over.
    pub async fn question_gateways(&self, gateways: &[KeptGateway]) -> Result<(), NetlinkError> {
        let mut messages = Vec::new();
        for KeptGateway { key, managed } in gateways {
            messages.push(RouteNetlinkMessage::NewNeighbour(encode::doubted_neighbour(key)));
            if *managed {
                messages.push(RouteNetlinkMessage::NewNeighbour(encode::managed_neighbour(key)));
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        let mut socket = self.socket.lock().await;
        match socket.change_together(messages).await {
            Err(refusal)
                if !matches!(
                    refusal.errno(),
                    Some(Errno::EINVAL | Errno::ENOENT | Errno::ENODEV)
                ) =>
            {
                let operation = "ask the gateways whether they are there".to_owned();
                Err(NetlinkError::Refused { operation, source: refusal })
            }
            _ => Ok(()),
        }
    }
}

/// Resolves a neighbour and keeps it resolved. The entry carries our protocol number.
pub(super) async fn manage(socket: &mut Socket, key: &NeighbourKey) -> Result<(), Refusal> {
    match change(socket, key, true).await {
        Err(refusal) if refusal.errno() == Some(Errno::EINVAL) => change(socket, key, false).await,
        result => result,
    }
}

async fn change(socket: &mut Socket, key: &NeighbourKey, managed: bool) -> Result<(), Refusal> {
    let message = RouteNetlinkMessage::NewNeighbour(encode::neighbour(key, managed));
    socket.change(message, NLM_F_CREATE | NLM_F_REPLACE).await
}
