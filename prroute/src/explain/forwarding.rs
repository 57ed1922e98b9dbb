//! Whether what is for others is forwarded.

use std::net::IpAddr;

use super::step::{Found, Stage, Step};
use crate::state::findings::word;
use crate::state::observed::Family;

/// `guest` has the packet's destination. `forwards`: of the interface for IPv4, of all for IPv6; `None`: not readable. `refused`: the kernel
/// does not forward the packet.
pub(crate) fn judge(guest: IpAddr, device: &str, forwards: Option<bool>, is_refused: bool) -> Step {
    const STAGE: Stage = Stage::Forwarding;
    let family = Family::of(&guest);
    let sysctl = match family {
        Family::V4 => format!("net/ipv4/conf/{}/forwarding", word(device)),
        Family::V6 => "net/ipv6/conf/all/forwarding".to_owned(),
    };
    let step = match (forwards, is_refused) {
        (Some(false), _) => Step::stop(STAGE, format!("{device}: off"))
            .cause(format!(
                "{guest} is not the host's own, and {device} forwards no {family} packets: the kernel \
                 drops the request"
            ))
            .remedy(format!("sysctl -w {sysctl}=1")),
        (Some(true), true) => Step::stop(STAGE, format!("{device}: on, but there is no route"))
            .cause("there is no route by which the kernel forwards the request"),
        (Some(true), false) => Step::ok(STAGE, format!("{device}: on")),
        (None, _) => {
            Step::new(STAGE, Found::Unknown, format!("{device}: the sysctl is not readable"))
        }
    };
    step.object("sysctl", sysctl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::ip;

    #[test]
    fn forwarding_that_is_off_ends_the_way() {
        let off = judge(ip("172.17.0.2"), "eth1", Some(false), true);
        assert_eq!(off.remedy.as_deref(), Some("sysctl -w net/ipv4/conf/eth1/forwarding=1"));
        assert_eq!(off.found, Found::Stop);
        assert_eq!(judge(ip("fd00::2"), "eth1", Some(true), false).found, Found::Ok);
        assert_eq!(judge(ip("172.17.0.2"), "eth1", Some(true), true).found, Found::Stop);
        assert_eq!(judge(ip("172.17.0.2"), "eth1", None, false).found, Found::Unknown);
    }
}
