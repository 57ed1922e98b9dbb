//! Addresses that were answered, and that this host has no more.

use super::Host;
use crate::state::findings::{Finding, Kind};
use crate::state::observed::host_net;

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    let of = |address: &std::net::IpAddr| Finding {
        what: format!(
            "no interface has {address}, of which conversations are recorded: requests to it are \
             not answered here"
        ),
        remedy: Some(format!(
            "if no other host has taken it over: ip address add {} dev lo",
            host_net(*address)
        )),
        ..Finding::about(Kind::SharedAddressNowhere, address)
    };
    host.facts.nowhere.iter().map(of).collect()
}
