//! What of the uplinks' prefixes and addresses fits the datapath's tables: nobody's thousands
//! push out another's few.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use prroute_common::address::{MAX_ADDRESSES, MAX_LOCAL_PREFIXES};
use prroute_common::uplink::{INLINE_PREFIXES, MAX_MAIN_ROUTES, MAX_ON_LINK};

use super::observed::Family;
use super::uplink::{Discovered, LocalAddress, Uplink, UplinkId};

/// What of one uplink found no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// `None`: addresses that no single uplink has.
    pub uplink: Option<UplinkId>,
    /// Of the uplink, for display.
    pub name: String,
    /// On-link prefixes, of both families: their hosts are reached by the gateway.
    pub prefixes: usize,
    /// Prefixes that `main` routes over it, of both families, at least so many: own sources of other
    /// uplinks go there by their uplink.
    pub main_routes: usize,
    /// Addresses and local prefixes of the host, of both families: packets for them follow the routing tables.
    pub addresses: usize,
}

/// How many entries of a table each party gets (max-min fair): a party that wants no more than an equal share
/// gets all it wants, and the rest is divided among the others in the same way.
fn shares(wanted: &[usize], capacity: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..wanted.len()).collect();
    by_size.sort_by_key(|&party| wanted[party]);
    let mut shares = vec![0; wanted.len()];
    let mut left = capacity;
    for (served, party) in by_size.into_iter().enumerate() {
        let share = wanted[party].min(left / (wanted.len() - served));
        shares[party] = share;
        left -= share;
    }
    shares
}

/// What of one party finds no room.
#[derive(Clone, Copy, Default)]
struct Missing {
    prefixes: usize,
    main_routes: usize,
    addresses: usize,
}

/// Takes out of the uplinks what does not fit, and tells what that is.
pub fn limit(
    uplinks: &mut [Uplink],
    locals: &mut Vec<LocalAddress>,
    local_prefixes: &mut Vec<IpNet>,
) -> Vec<LeftOut> {
    let mut left_out: BTreeMap<Option<UplinkId>, Missing> = BTreeMap::new();
    for family in Family::BOTH {
        let prefixes = limit_prefixes(uplinks, family, MAX_ON_LINK as usize);
        let main_routes = limit_main_routes(uplinks, family, MAX_MAIN_ROUTES as usize);
        for (uplink, (prefixes, main_routes)) in
            uplinks.iter().zip(prefixes.iter().zip(main_routes))
        {
            let missing = left_out.entry(Some(uplink.id)).or_default();
            missing.prefixes += prefixes;
            missing.main_routes += main_routes;
        }
        for (owner, count) in limit_addresses(locals, family, MAX_ADDRESSES as usize) {
            left_out.entry(owner).or_default().addresses += count;
        }
        let count = limit_local_prefixes(local_prefixes, family, MAX_LOCAL_PREFIXES as usize);
        left_out.entry(None).or_default().addresses += count;
    }
    let name = |id: Option<UplinkId>| {
        let uplink = uplinks.iter().find(|uplink| Some(uplink.id) == id);
        uplink.map_or_else(|| "shared addresses".to_owned(), |uplink| uplink.device.name.clone())
    };
    left_out
        .into_iter()
        .filter(|(_, missing)| missing.prefixes + missing.main_routes + missing.addresses > 0)
        .map(|(uplink, Missing { prefixes, main_routes, addresses })| LeftOut {
            uplink,
            name: name(uplink),
            prefixes,
            main_routes,
            addresses,
        })
        .collect()
}

/// Prefixes that are in line in the facts need no entry. If there are more than fit, the shortest
/// prefixes stay: they cover the most.
fn limit_main_routes(uplinks: &mut [Uplink], family: Family, capacity: usize) -> Vec<usize> {
    let is_family = |net: &&IpNet| Family::of_net(net) == family;
    for Discovered { main_routes, on_link, .. } in uplinks.iter_mut().map(|u| &mut u.device) {
        let in_line: Vec<IpNet> =
            on_link.iter().filter(is_family).take(INLINE_PREFIXES).copied().collect();
        main_routes.retain(|net| !in_line.contains(net));
    }
    let count = |uplink: &Uplink| uplink.device.main_routes.iter().filter(is_family).count();
    let wanted: Vec<usize> = uplinks.iter().map(count).collect();
    let shares = shares(&wanted, capacity);
    for ((uplink, share), wanted) in uplinks.iter_mut().zip(&shares).zip(&wanted) {
        if wanted > share {
            let all = &mut uplink.device.main_routes;
            let (mut of_family, others): (Vec<IpNet>, Vec<IpNet>) =
                all.iter().copied().partition(|net| is_family(&net));
            of_family.sort_by_key(IpNet::prefix_len);
            of_family.truncate(*share);
            *all = of_family.into_iter().chain(others).collect();
            all.sort_unstable();
        }
    }
    wanted.iter().zip(shares).map(|(wanted, share)| wanted - share).collect()
}

/// Prefixes around an address of the uplink come first: its own network's cannot be pushed out by
/// what routers there announce.
fn limit_prefixes(uplinks: &mut [Uplink], family: Family, capacity: usize) -> Vec<usize> {
    let is_family = |net: &&IpNet| Family::of_net(net) == family;
    let count = |uplink: &Uplink| uplink.device.on_link.iter().filter(is_family).count();
    let wanted: Vec<usize> = uplinks.iter().map(count).collect();
    let shares = shares(&wanted, capacity);
    for (uplink, share) in uplinks.iter_mut().zip(&shares) {
        keep_prefixes(&mut uplink.device, family, *share);
    }
    wanted.iter().zip(shares).map(|(wanted, share)| wanted - share).collect()
}

fn keep_prefixes(device: &mut Discovered, family: Family, share: usize) {
    let is_family = |net: &IpNet| Family::of_net(net) == family;
    if device.on_link.iter().filter(|net| is_family(net)).count() <= share {
        return;
    }
    let own: BTreeSet<IpAddr> = device.addresses.iter().map(IpNet::addr).collect();
    let holds_own = |net: &IpNet| own.range(net.network()..=net.broadcast()).next().is_some();
    let (first, rest): (Vec<IpNet>, Vec<IpNet>) =
        device.on_link.iter().filter(|net| is_family(net)).partition(|net| holds_own(net));
    let kept = first.into_iter().chain(rest).take(share);
    let others = device.on_link.iter().filter(|net| !is_family(net)).copied();
    let mut kept: Vec<IpNet> = kept.chain(others).collect();
    kept.sort_unstable();
    device.on_link = kept;
}

/// The addresses of each owner share with those of the others, in their order.
fn limit_addresses(
    locals: &mut Vec<LocalAddress>,
    family: Family,
    capacity: usize,
) -> BTreeMap<Option<UplinkId>, usize> {
    let mut wanted: BTreeMap<Option<UplinkId>, usize> = BTreeMap::new();
    for local in locals.iter().filter(|local| Family::of(&local.address) == family) {
        *wanted.entry(local.owner).or_default() += 1;
    }
    let counts: Vec<usize> = wanted.values().copied().collect();
    let shares = shares(&counts, capacity);
    let mut room: BTreeMap<Option<UplinkId>, usize> =
        wanted.keys().copied().zip(shares.iter().copied()).collect();
    locals.retain(|local| {
        let Some(left) = room.get_mut(&local.owner) else { return true };
        if Family::of(&local.address) != family {
            return true;
        }
        let fits = *left > 0;
        *left = left.saturating_sub(1);
        fits
    });
    wanted.into_iter().zip(shares).map(|((owner, wanted), share)| (owner, wanted - share)).collect()
}

/// They are one party's, the administrator's.
fn limit_local_prefixes(prefixes: &mut Vec<IpNet>, family: Family, capacity: usize) -> usize {
    let before = prefixes.len();
    let mut left = capacity;
    prefixes.retain(|net| {
        let is_other = Family::of_net(net) != family;
        let fits = left > 0;
        if !is_other {
            left = left.saturating_sub(1);
        }
        is_other || fits
    });
    before - prefixes.len()
}

#[cfg(test)]
mod tests;
