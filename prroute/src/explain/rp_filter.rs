//! Reverse-path filtering of the interface that the request comes in by.

use std::net::IpAddr;

use nix::errno::Errno;

use super::step::{Found, Stage, Step};
use crate::state::findings::word;
use crate::state::observed::{Family, RP_FILTER_STRICT};

/// What it depends on.
#[derive(Clone, Debug)]
pub(crate) struct RpFilter<'a> {
    pub(crate) device: &'a str,
    /// Of `all` and of the interface; `None`: not readable.
    pub(crate) values: Option<(u8, u8)>,
    pub(crate) client: IpAddr,
    /// The client's address is one of the host's own.
    pub(crate) client_is_host: bool,
    /// The error number by which the kernel refuses the request.
    pub(crate) refused: Option<Errno>,
}

impl RpFilter<'_> {
    /// The greater of both counts.
    fn value(&self) -> Option<u8> {
        self.values.map(|(all, own)| all.max(own))
    }

    /// It is the filter that refuses. The kernel says EXDEV for it, and EINVAL as of Linux 6.13, as for
    /// sources that no packet may have.
    fn refuses(&self) -> bool {
        let may_be = !is_martian(self.client) && !self.client_is_host;
        match self.refused {
            Some(Errno::EXDEV) => true,
            Some(Errno::EINVAL) => may_be && self.value().is_some_and(|value| value > 0),
            _ => false,
        }
    }
}

/// A source that no packet from elsewhere may have.
pub(super) fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first == 0 || address.is_loopback() || address.is_multicast() || first >= 240
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unspecified() || address.is_multicast()
        }
    }
}

pub(crate) fn judge(filter: &RpFilter<'_>) -> Step {
    const STAGE: Stage = Stage::RpFilter;
    let RpFilter { device, client, .. } = filter;
    if Family::of(client) == Family::V6 {
        return Step::new(STAGE, Found::Nothing, "IPv6 has none (netfilter may have one)");
    }
    let Some(value) = filter.value() else {
        return Step::new(STAGE, Found::Unknown, format!("{device}: the sysctl is not readable"));
    };
    let mode = match value {
        0 => "off",
        RP_FILTER_STRICT => "strict",
        _ => "loose",
    };
    let step = match (filter.refuses(), value) {
        (true, RP_FILTER_STRICT) => {
            Step::stop(STAGE, format!("{device} {value} (strict): drops it"))
                .cause(format!(
                    "rp_filter of {device} is strict, and the route back to {client} is not over \
                     {device}: the kernel drops the request"
                ))
                .remedy(format!("sysctl -w net/ipv4/conf/{}/rp_filter=2", word(device)))
        }
        (true, _) => Step::stop(STAGE, format!("{device} {value} ({mode}): drops it"))
            .cause(format!(
                "rp_filter of {device} is on, and there is no route back to {client}: the kernel \
                 drops the request"
            ))
            .remedy(format!("give the host a route to {client}, as a default route")),
        (false, _) => Step::ok(STAGE, format!("{device} {value} ({mode})")),
    };
    step.object("sysctl", format!("net/ipv4/conf/{device}/rp_filter")).object("value", value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::ip;

    fn found(values: (u8, u8), client: &str, refused: Option<Errno>) -> Step {
        judge(&RpFilter {
            device: "eth1",
            values: Some(values),
            client: ip(client),
            client_is_host: false,
            refused,
        })
    }

    #[test]
    fn a_strict_filter_is_told_from_other_refusals() {
        let strict = found((0, 1), "203.0.113.11", Some(Errno::EINVAL));
        assert_eq!(strict.found, Found::Stop);
        assert_eq!(strict.remedy.as_deref(), Some("sysctl -w net/ipv4/conf/eth1/rp_filter=2"));
        assert_eq!(found((0, 1), "203.0.113.11", Some(Errno::EXDEV)).found, Found::Stop);
        assert_eq!(found((0, 1), "203.0.113.11", None).detail, "eth1 1 (strict)");
        assert_eq!(found((2, 1), "203.0.113.11", None).detail, "eth1 2 (loose)");
        assert_eq!(found((0, 0), "203.0.113.11", Some(Errno::EINVAL)).found, Found::Ok);
        assert_eq!(found((0, 1), "127.0.0.1", Some(Errno::EINVAL)).found, Found::Ok, "martian");
        assert_eq!(found((0, 1), "203.0.113.11", Some(Errno::ENETUNREACH)).found, Found::Ok);
        assert!(
            found((0, 2), "203.0.113.11", Some(Errno::EINVAL)).cause.unwrap().contains("no route")
        );
    }

    #[test]
    fn ipv6_has_none() {
        assert_eq!(found((1, 1), "2001:db8::1", None).found, Found::Nothing);
    }
}
