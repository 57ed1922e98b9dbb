//! Hearing of changes.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use netlink_packet_core::NetlinkPayload;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::relevance::{Expected, Relevance, WatchedRoutes};
use super::request::{BUFFER, register, split};
use super::{NetlinkError, lenient, netconf, next_hop};
use crate::config::Ranges;
use crate::state::gateways::GatewayKey;
use crate::state::observed::{NeighbourEvent, Observed};
use crate::state::plan::Plan;
use crate::state::uplink::Uplink;

/// Links, neighbours, settings of IPv4, and addresses, routes and rules of both families.
const GROUPS: [u32; 9] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV6_RULE,
];
/// Next hop objects, since Linux 5.3: a kernel without the group has none of them.
const NEXT_HOPS: u32 = libc::RTNLGRP_NEXTHOP;
/// What the kernel may queue for us, as far as `net.core.rmem_max` allows.
const QUEUE: usize = 1 << 20;
/// Datagrams that are read before a change is handed out although more are waiting.
const BURST: u32 = 256;

/// Something happened that may change what is desired, or what is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Of an interface, or of settings that apply to it.
    pub links: bool,
    pub addresses: bool,
    pub routes: bool,
    pub rules: bool,
    pub neighbours: bool,
    /// An address or a route came, by which replies may leave as soon as it is answered.
    pub arrived: bool,
    /// Notifications were lost: anything may have changed.
    pub overrun: bool,
}

impl Change {
    /// Nothing but the reachability of gateways.
    pub fn is_only_neighbours(self) -> bool {
        self == Self { neighbours: self.neighbours, ..Self::default() }
    }

    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Adds another change to this one.
    pub const fn merge(&mut self, other: Self) {
        self.links |= other.links;
        self.addresses |= other.addresses;
        self.routes |= other.routes;
        self.rules |= other.rules;
        self.neighbours |= other.neighbours;
        self.arrived |= other.arrived;
        self.overrun |= other.overrun;
    }
}

/// What the kernel announced.
#[derive(Debug, Default)]
pub struct Announced {
    /// But for neighbours: whether their events are news is for others to say.
    pub change: Change,
    /// Of those that are watched, oldest first.
    pub neighbours: Vec<NeighbourEvent>,
}

/// A socket that listens. Its memory is bounded, whatever comes in.
#[derive(Debug)]
pub struct Monitor {
    fd: AsyncFd<netlink_sys::Socket>,
    buffer: Vec<u8>,
    relevance: Relevance,
    /// Read, but not handed out: [`Monitor::next`] may be cancelled.
    pending: Change,
    /// There was an overrun, and no new socket yet.
    is_congested: bool,
}

impl Monitor {
    /// Listens to the calling thread's network namespace. Open it before the first
    /// [`super::Kernel::observe`], so that no change falls between. Needs a running tokio
    /// runtime.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self {
            fd: listen()?,
            buffer: Vec::with_capacity(BUFFER),
            relevance: Relevance::default(),
            pending: Change::default(),
            is_congested: false,
        })
    }

    /// Names the neighbours whose events are handed out, replacing those named before.
    pub fn watch_neighbours(&mut self, watched: BTreeSet<GatewayKey>) {
        self.relevance.watched = watched;
    }

    /// Names our tables, and the addresses and uplinks on which it depends which other routes matter,
    /// replacing those named before.
    pub fn watch_routes(&mut self, ranges: Ranges, observed: &Observed, uplinks: &[Uplink]) {
        self.relevance.routes = WatchedRoutes::of(ranges, observed, uplinks);
    }

    /// Hands out what has been announced until now, without waiting.
    pub fn take_waiting(&mut self) -> Announced {
        self.heard();
        self.take()
    }

    /// What has been announced until now, and will be handed out by [`Monitor::next`]. The kernel
    /// announces a change before, or in the same breath as, it can be seen.
    pub fn heard(&mut self) -> Change {
        for _ in 0..BURST {
            self.buffer.clear();
            let buffer = &mut self.buffer;
            let receive = |socket: &netlink_sys::Socket| socket.recv(buffer, 0);
            match self.fd.try_io(Interest::READABLE, receive) {
                Ok(_) => self.digest(),
                // The kernel tells it once.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.pending.overrun = true;
                    self.is_congested = self.listen_anew().is_err();
                    if self.is_congested {
                        break;
                    }
                }
                // What else failed is told by the next read.
                Err(_) => break,
            }
        }
        self.pending
    }

    fn take(&mut self) -> Announced {
        let change = std::mem::take(&mut self.pending);
        Announced { change, neighbours: std::mem::take(&mut self.relevance.neighbours) }
    }

    fn has_pending(&self) -> bool {
        self.pending.is_any() || !self.relevance.neighbours.is_empty()
    }

    /// Ignores the notifications of what this plan deletes. Deletions of an earlier plan that were not
    /// announced yet are no longer ignored.
    pub fn expect_deletions(&mut self, plan: &Plan) {
        self.relevance.expected = Expected::of(plan);
    }

    /// Also ignores the deletion of what the plan added and then undid.
    pub fn expect_taken_back(&mut self, left: &Plan) {
        self.relevance.expected.add(&left.inverse());
    }

    /// Waits for a relevant change, or an event of a neighbour that is watched; all that are waiting are
    /// handed out together. Can be cancelled without loss.
    ///
    /// # Errors
    ///
    /// The socket failed. An overrun is no error: it comes as [`Change::overrun`].
    pub async fn next(&mut self) -> Result<Announced, NetlinkError> {
        if self.is_congested {
            self.listen_anew()?;
            self.is_congested = false;
        }
        for read in 0_u32.. {
            let has_pending = self.has_pending();
            if has_pending && read >= BURST {
                break;
            }
            self.buffer.clear();
            let buffer = &mut self.buffer;
            let receive = |socket: &netlink_sys::Socket| socket.recv(buffer, 0);
            let result = if has_pending {
                self.fd.try_io(Interest::READABLE, receive)
            } else {
                let received = self.fd.async_io(Interest::READABLE, receive);
                match within(self.relevance.deadline(), received).await {
                    Some(result) => result,
                    None => {
                        self.pending = self.relevance.expire(Instant::now());
                        continue;
                    }
                }
            };
            match result {
                Ok(_) => self.digest(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    // Everything is read again: nothing is lost by it.
                    tracing::debug!("lost netlink notifications; reading everything again");
                    self.listen_anew()?;
                    self.pending.overrun = true;
                }
                Err(source) => {
                    return Err(NetlinkError::Socket { operation: "read notifications", source });
                }
            }
        }
        Ok(self.take())
    }

    /// Opens a new socket after an overrun. On the old one the kernel drops notifications without a
    /// further error until its queue was read to the end (`NETLINK_S_CONGESTED`), so changes after the new
    /// dump would be missed. The queue of a new socket is empty.
    fn listen_anew(&mut self) -> Result<(), NetlinkError> {
        self.fd = listen()?;
        self.relevance.forget_links();
        Ok(())
    }

    fn digest(&mut self) {
        let mut rest = self.buffer.as_slice();
        while let Some((message, behind)) = split(rest) {
            rest = behind;
            if netconf::is_netconf(message) {
                self.pending.links |= netconf::makes_filter_strict(message);
                continue;
            }
            if let Some(has_changed) = next_hop::of_next_hops(message) {
                self.pending.routes |= has_changed;
                continue;
            }
            match lenient::deserialize(message) {
                Ok(message) => {
                    if let NetlinkPayload::InnerMessage(message) = message.payload {
                        self.pending.merge(self.relevance.judge(message));
                    }
                }
                Err(unreadable) => {
                    let change = self.relevance.unreadable(&unreadable, Instant::now());
                    self.pending.merge(change);
                }
            }
        }
        // Cut off.
        self.pending.overrun |= !rest.is_empty();
    }
}

/// `None`: not until the deadline.
async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), future).await.ok(),
        None => Some(future.await),
    }
}

fn listen() -> Result<AsyncFd<netlink_sys::Socket>, NetlinkError> {
    socket().map_err(|source| NetlinkError::Socket { operation: "listen to netlink", source })
}

fn socket() -> io::Result<AsyncFd<netlink_sys::Socket>> {
    let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.set_rx_buf_sz(QUEUE)?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    match socket.add_membership(NEXT_HOPS) {
        Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
        _ => {}
    }
    register(socket)
}
