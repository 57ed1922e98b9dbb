//! Which devices main's default routes lead over.

use std::collections::BTreeSet;

use crate::state::observed::{Family, Observed, Route, TABLE_MAIN};
use crate::state::uplink::Ifindex;

/// Of either family those of the route that packets without a better one take: of the longest prefixes the
/// one with the lowest metric, and of these the routers that are preferred.
pub(super) fn devices(observed: &Observed) -> BTreeSet<Ifindex> {
    let of_family = |family| {
        let is_one = move |route: &&Route| {
            route.table == TABLE_MAIN && route.is_default() && route.family() == family
        };
        let preference = |route: &Route| (u8::MAX - route.destination.prefix_len(), route.rank());
        let all = observed.routes.iter().filter(is_one);
        let best = all.clone().map(preference).min();
        all.filter(move |route| Some(preference(route)) == best)
    };
    let routes = Family::BOTH.into_iter().flat_map(of_family);
    routes.flat_map(|route| route.next_hops.iter().map(|hop| hop.ifindex)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{net, two_networks};

    #[test]
    fn the_longest_prefix_and_then_the_lowest_metric_counts() {
        let mut observed = two_networks().0;
        observed.routes.retain(Route::is_default);
        let [first, second] = [2, 3].map(Ifindex);
        let over = |device| {
            let is_it = |route: &&Route| route.next_hops.iter().any(|hop| hop.ifindex == device);
            observed.routes.iter().find(is_it).unwrap().clone()
        };
        let (mut one, mut two) = (over(first), over(second));
        (one.metric, two.metric) = (100, 200);
        let of = |routes: &[&Route]| {
            let routes = routes.iter().copied().cloned().collect();
            devices(&Observed { routes, ..Observed::default() }).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(&[&two, &one]), [first]);
        two.metric = 100;
        assert_eq!(of(&[&two, &one]), [first, second], "as one route over both");
        two.metric = 200;
        two.destination = net("0.0.0.0/1");
        assert_eq!(of(&[&two, &one]), [second]);
        assert_eq!(of(&[]), []);
    }
}
