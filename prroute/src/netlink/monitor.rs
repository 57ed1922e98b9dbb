//! Hearing of changes.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::fingerprint::Links;
use super::request::{register, split};
use super::{NetlinkError, decode};
use crate::state::observed::{NeighbourState, Observed, PROTOCOL, RouteKind, TABLE_MAIN};
use crate::state::uplink::{Ifindex, Uplink};

/// `RTNLGRP_*`: link, neighbour, addresses, routes and rules of both families.
const GROUPS: [u32; 8] = [1, 3, 5, 7, 8, 9, 11, 19];
const BUFFER: usize = 64 * 1024;
/// What the kernel may queue for us, as far as `net.core.rmem_max` allows.
const QUEUE: usize = 1 << 20;
/// Datagrams that are read before a change is handed out although more are waiting.
const BURST: u32 = 256;
const ENOBUFS: i32 = 105;

/// Something happened that may change what is desired, or what is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub links: bool,
    pub addresses: bool,
    pub routes: bool,
    pub rules: bool,
    pub neighbours: bool,
    /// Notifications were lost: anything may have changed.
    pub overrun: bool,
}

impl Change {
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    fn merge(&mut self, other: Self) {
        self.links |= other.links;
        self.addresses |= other.addresses;
        self.routes |= other.routes;
        self.rules |= other.rules;
        self.neighbours |= other.neighbours;
        self.overrun |= other.overrun;
    }
}

/// A socket that listens. Its memory is bounded, whatever comes in.
#[derive(Debug)]
pub struct Monitor {
    fd: AsyncFd<netlink_sys::Socket>,
    buffer: Vec<u8>,
    relevance: Relevance,
    /// Read, but not handed out: [`Monitor::next`] may be cancelled.
    pending: Change,
}

impl Monitor {
    /// Listens to the calling thread's network namespace. Open it before the first
    /// [`super::Kernel::observe`], so that no change falls between. Needs a running tokio
    /// runtime.
    pub fn open() -> Result<Self, NetlinkError> {
        let fd = socket()
            .map_err(|source| NetlinkError::Socket { operation: "listen to netlink", source })?;
        Ok(Self {
            fd,
            buffer: Vec::with_capacity(BUFFER),
            relevance: Relevance::default(),
            pending: Change::default(),
        })
    }

    /// Names the gateways whose neighbour entries matter, replacing those named before.
    pub fn watch_gateways(&mut self, observed: &Observed, uplinks: &[Uplink]) {
        self.relevance.gateways = uplinks
            .iter()
            .flat_map(|u| u.device.gateways.iter().map(|gateway| (u.device.ifindex, *gateway)))
            .map(|key| {
                let state = observed.neighbour(key.0, key.1).map(|n| n.state);
                (key, state == Some(NeighbourState::Failed))
            })
            .collect();
    }

    /// Waits for a relevant change; several that are waiting are handed out as one. Can be
    /// cancelled without loss.
    ///
    /// # Errors
    ///
    /// The socket failed. An overrun is no error: it comes as [`Change::overrun`].
    pub async fn next(&mut self) -> Result<Change, NetlinkError> {
        for read in 0_u32.. {
            if self.pending.is_any() && read >= BURST {
                break;
            }
            self.buffer.clear();
            let buffer = &mut self.buffer;
            let receive = |socket: &netlink_sys::Socket| socket.recv(buffer, 0);
            let result = if self.pending.is_any() {
                self.fd.try_io(Interest::READABLE, receive)
            } else {
                self.fd.async_io(Interest::READABLE, receive).await
            };
            match result {
                Ok(_) => self.digest(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {
                    tracing::warn!("lost netlink notifications; reading everything again");
                    self.pending.overrun = true;
                }
                Err(source) => {
                    return Err(NetlinkError::Socket { operation: "read notifications", source });
                }
            }
        }
        Ok(std::mem::take(&mut self.pending))
    }

    fn digest(&mut self) {
        let mut rest = self.buffer.as_slice();
        while let Some((message, behind)) = split(rest) {
            rest = behind;
            match NetlinkMessage::<Message>::deserialize(message) {
                Ok(message) => {
                    if let NetlinkPayload::InnerMessage(message) = message.payload {
                        self.pending.merge(self.relevance.judge(message));
                    }
                }
                // What cannot be understood is looked at with a full read.
                Err(_) => self.pending.overrun = true,
            }
        }
    }
}

fn socket() -> io::Result<AsyncFd<netlink_sys::Socket>> {
    let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.set_rx_buf_sz(QUEUE)?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    register(socket)
}

/// Tells what matters from what does not, at the price of decoding it.
#[derive(Debug, Default)]
struct Relevance {
    links: Links,
    /// Whether each gateway's entry was failed when last heard of.
    gateways: BTreeMap<(Ifindex, IpAddr), bool>,
}

impl Relevance {
    fn judge(&mut self, message: Message) -> Change {
        let mut change = Change::default();
        match message {
            Message::NewLink(link) => change.links = self.links.changed(link),
            Message::DelLink(link) => {
                self.links.removed(&link);
                change.links = true;
            }
            Message::NewAddress(_) | Message::DelAddress(_) => change.addresses = true,
            Message::NewRoute(route) => change.routes = !is_ours(&route) && matters(&route),
            Message::DelRoute(route) => change.routes = matters(&route),
            Message::NewRule(rule) => change.rules = !is_our_rule(&rule),
            Message::DelRule(_) => change.rules = true,
            Message::NewNeighbour(neighbour) => change.neighbours = self.is_turn(&neighbour),
            Message::DelNeighbour(neighbour) => {
                change.neighbours = self.watched(&neighbour).is_some();
            }
            _ => {}
        }
        change
    }

    fn watched(&mut self, message: &NeighbourMessage) -> Option<(&mut bool, NeighbourState)> {
        let neighbour = decode::neighbour(message)?;
        let failed = self.gateways.get_mut(&(neighbour.ifindex, neighbour.address))?;
        Some((failed, neighbour.state))
    }

    /// Whether a gateway failed that had not, or resolved that had failed.
    fn is_turn(&mut self, message: &NeighbourMessage) -> bool {
        let Some((failed, state)) = self.watched(message) else { return false };
        // Unknown yet: what it was before stands.
        if state == NeighbourState::Incomplete {
            return false;
        }
        let now = state == NeighbourState::Failed;
        std::mem::replace(failed, now) != now
    }
}

/// We made it: nothing to learn from it.
fn is_ours(message: &RouteMessage) -> bool {
    u8::from(message.header.protocol) == PROTOCOL
}

fn is_our_rule(message: &RuleMessage) -> bool {
    decode::rule(message).is_some_and(|rule| rule.protocol == PROTOCOL)
}

/// A default route, one of ours, or main's route to a link: what decides about gateways and
/// on-link prefixes. Other routes may flap.
fn matters(message: &RouteMessage) -> bool {
    let Some(route) = decode::route(message) else { return false };
    if route.protocol == PROTOCOL {
        return true;
    }
    let on_link = route.next_hops.iter().any(|hop| hop.gateway.is_none());
    route.kind == RouteKind::Unicast
        && (route.is_default() || (route.table == TABLE_MAIN && on_link))
}

#[cfg(test)]
mod tests;
