//! Whole routing tables, for who asks for them.

use std::collections::BTreeSet;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;
use nix::libc::RTNLGRP_IPV6_ROUTE;

use super::read::{Marked, dump, name_devices};
use super::{Kernel, NetlinkError, decode, encode};
use crate::state::observed::{Family, Link, Route, RouteExtras};

/// What was read of some tables.
#[derive(Clone, Debug, Default)]
pub struct RoutesOfTables {
    pub routes: Vec<(Route, RouteExtras)>,
    /// Why a route may be missing, of whatever table: it could not be decoded, or others changed meanwhile.
    pub unreadable: Vec<(Family, String)>,
}

impl Kernel {
    /// All routes of some tables, of both families, but those that have expired.
    pub async fn routes_of(
        &self,
        tables: &BTreeSet<u32>,
        links: &[Link],
    ) -> Result<RoutesOfTables, NetlinkError> {
        let mut socket = self.socket.lock().await;
        let (mut routes, mut extras, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for family in Family::BOTH {
            let mut request = RouteMessage::default();
            request.header.address_family = encode::family(family);
            let request = RouteNetlinkMessage::GetRoute(request);
            let marked = match family {
                Family::V4 => Marked::ByKernel,
                Family::V6 => Marked::ByAnnouncements(RTNLGRP_IPV6_ROUTE),
            };
            let of_family = dump(&mut socket, "routes", request, marked, |all, message| {
                let RouteNetlinkMessage::NewRoute(message) = message else { return };
                let is_valid = decode::validity(&message).is_ok();
                let is_of_family = |route: &Route| is_valid && route.family() == family;
                let route = decode::route(&message).filter(is_of_family);
                let route = route.filter(|route| tables.contains(&route.table));
                all.extend(route.map(|route| (route, decode::extras(&message))));
            });
            let of_family = of_family.await?;
            let (found, theirs): (Vec<Route>, Vec<RouteExtras>) =
                of_family.found.into_iter().unzip();
            routes.extend(found);
            extras.extend(theirs);
            unreadable.extend(of_family.unreadable.into_iter().map(|it| (family, it.error)));
            // Of IPv4 only what changed itself may be missing.
            if !of_family.steady && family == Family::V6 {
                unreadable.push((family, "routes changed while they were read".to_owned()));
            }
        }
        name_devices(&mut routes, links, &[]);
        Ok(RoutesOfTables { routes: routes.into_iter().zip(extras).collect(), unreadable })
    }
}
