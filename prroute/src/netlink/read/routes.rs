//! Reading routes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;
use nix::libc::RTNLGRP_IPV6_ROUTE;

use super::changes::Changes;
use super::{MainRoutes, Marked, Wanted, dump};
use crate::netlink::interest::Interest;
use crate::netlink::request::Socket;
use crate::netlink::steady::{Dump, Expiring, RouteItem};
use crate::netlink::{NetlinkError, decode, encode};
use crate::state::observed::{Address, Family};
use crate::state::uplink::Ifindex;

/// Of one interface and family: a router may have a million, and the datapath has room for fewer.
const MAIN_ROUTES_READ: usize = 2 * prroute_common::uplink::MAX_MAIN_ROUTES as usize;
/// Routes of others in our tables, of one family.
const FOREIGN_ROUTES_READ: usize = 4096;
/// How often IPv6 routes are read at least, and at most, when some of them change each time.
const READINGS: RangeInclusive<usize> = 3..=8;

/// Routes that have not expired, and for how long they are valid.
///
/// IPv4's are read from key to key. Of IPv6's the kernel reads the tree anew after a change, and passes over
/// as many nodes as it has told of: when some of these are gone, it leaves out others, when there are more, it
/// tells some twice, and nothing in the dump says so. So they are read again when a change was announced meanwhile. Where routes change all the
/// time, what any of several readings has counts, and what was there `before` is looked for more often: what
/// went meanwhile was announced, and is looked at again.
pub(super) async fn routes_of(
    socket: &mut Socket,
    family: Family,
    addresses: &[Address],
    wanted: Wanted,
    before: Option<&[Expiring]>,
) -> Result<Dump<Expiring>, NetlinkError> {
    let interest = Interest::of(wanted.ranges, addresses);
    if family == Family::V4 {
        return read(socket, family, &interest, wanted.main_routes).await;
    }
    let before = before.unwrap_or_default();
    let mut together: Option<Dump<Expiring>> = None;
    let mut count = 0;
    loop {
        count += 1;
        let changes = Changes::listen(RTNLGRP_IPV6_ROUTE)?;
        let found = read(socket, family, &interest, wanted.main_routes).await?;
        if !changes.were_announced() {
            return Ok(found);
        }
        let all = found.or_in(together.take());
        let is_enough =
            count >= *READINGS.start() && !all.lacks(before, |route| interest.matters(route));
        if is_enough || count >= *READINGS.end() {
            tracing::debug!("IPv6 routes changed during each of {count} attempts to read them");
            return Ok(all);
        }
        together = Some(all);
    }
}

/// Routes that have not expired, and for how long they are valid. A kernel that does not have the family tells those of
/// all others.
async fn read(
    socket: &mut Socket,
    family: Family,
    interest: &Interest,
    main_routes: MainRoutes,
) -> Result<Dump<Expiring>, NetlinkError> {
    let (mut last_table, mut foreign) = (None, 0);
    let mut over: BTreeMap<Ifindex, usize> = BTreeMap::new();
    let mut request = RouteMessage::default();
    request.header.address_family = encode::family(family);
    dump(
        socket,
        "routes",
        RouteNetlinkMessage::GetRoute(request),
        Marked::ByKernel,
        |all: &mut Vec<Expiring>, message| {
            let RouteNetlinkMessage::NewRoute(message) = message else { return };
            let Ok(validity) = decode::validity(&message) else { return };
            let Some(route) = decode::route(&message).filter(|r| r.family() == family) else {
                return;
            };
            // The table is read from its beginning (again).
            if all.is_empty() {
                over.clear();
                (last_table, foreign) = (None, 0);
            }
            if main_routes == MainRoutes::Wanted {
                let protocol = route.protocol;
                for route in route.main_routes() {
                    let count = over.entry(route.ifindex).or_default();
                    *count += 1;
                    if *count <= MAIN_ROUTES_READ {
                        all.push((RouteItem::Main { route, protocol }, validity));
                    }
                }
            }
            if interest.is_one_of_many(&route) {
                foreign += 1;
                if foreign > FOREIGN_ROUTES_READ {
                    return;
                }
            }
            // Several routes in a row are of one table.
            if interest.matters(&route) || last_table != Some(route.table) {
                last_table = Some(route.table);
                all.push((RouteItem::Whole(route), validity));
            }
        },
    )
    .await
}
