//! Gateways that uplinks had, and whose default route somebody deleted.

use std::net::IpAddr;

use super::observed::Family;
use super::per_family::PerFamily;
use super::uplink::Ifindex;

/// A gateway whose interface is there, and has no other one of its family now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostGateway {
    pub ifindex: Ifindex,
    pub name: String,
    pub family: Family,
    pub gateway: IpAddr,
}

/// How an uplink sends by default.
#[derive(Clone, Debug)]
pub struct ByDefault {
    pub ifindex: Ifindex,
    pub name: String,
    pub gateways: PerFamily<Option<IpAddr>>,
    /// It needs no gateway.
    pub direct: PerFamily<bool>,
}

/// Those that are lost now: of the uplinks `before`, and of those that were lost then. `exists` tells
/// whether an interface is there.
pub fn follow(
    lost: &[LostGateway],
    before: &[ByDefault],
    now: &[ByDefault],
    exists: impl Fn(Ifindex) -> bool,
) -> Vec<LostGateway> {
    let had = before.iter().flat_map(|uplink| {
        Family::BOTH.into_iter().filter_map(|family| {
            let (ifindex, name) = (uplink.ifindex, uplink.name.clone());
            Some(LostGateway { ifindex, name, family, gateway: uplink.gateways[family]? })
        })
    });
    let has_one = |ifindex, family| {
        let uplink = now.iter().find(|uplink| uplink.ifindex == ifindex);
        uplink.is_some_and(|it| it.gateways[family].is_some() || it.direct[family])
    };
    let mut all: Vec<LostGateway> = Vec::new();
    for one in lost.iter().cloned().chain(had) {
        let (ifindex, family) = (one.ifindex, one.family);
        let is_known = all.iter().any(|it| (it.ifindex, it.family) == (ifindex, family));
        if !is_known && !has_one(ifindex, family) && exists(ifindex) {
            all.push(one);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::ip;

    fn uplink(gateway: Option<&str>) -> ByDefault {
        ByDefault {
            ifindex: Ifindex(2),
            name: "eth0".to_owned(),
            gateways: PerFamily { v4: gateway.map(ip), v6: None },
            direct: PerFamily::default(),
        }
    }

    #[test]
    fn a_gateway_is_lost_until_there_is_one_again_or_the_interface_goes() {
        let (with, without) = ([uplink(Some("10.0.0.1"))], [uplink(None)]);
        let lost = follow(&[], &with, &without, |_| true);
        assert_eq!(lost.len(), 1);
        // It stays lost, also where the interface is no uplink without it.
        assert_eq!(follow(&lost, &without, &[], |_| true), lost);
        assert_eq!(follow(&lost, &without, &[uplink(Some("10.0.0.9"))], |_| true), []);
        assert_eq!(follow(&lost, &without, &without, |_| false), []);
    }

    #[test]
    fn an_uplink_that_never_had_a_gateway_lost_none() {
        assert_eq!(follow(&[], &[uplink(None)], &[uplink(None)], |_| true), []);
    }
}
