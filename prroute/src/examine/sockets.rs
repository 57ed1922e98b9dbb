//! Services that listen on the address of one uplink only: over the others nobody reaches them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::examine::evidence;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::uplink::Uplink;

/// So many services are shown for one address.
const SHOWN: usize = 5;

/// Clients of DHCP, which listen where they ask.
const OWN_ADDRESS_ONLY: [Listener; 2] =
    [Listener { protocol: "udp", port: 68 }, Listener { protocol: "udp", port: 546 }];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listener {
    protocol: &'static str,
    port: u16,
}

/// Where each service listens.
pub(super) type Listeners = BTreeMap<Listener, BTreeSet<IpAddr>>;

/// So many sockets of a table are looked at: a host may have a million connections.
const MOST_SOCKETS: usize = 100_000;

/// Of this process's network namespace.
pub(super) fn listeners() -> Listeners {
    let mut all = Listeners::new();
    for (protocol, names) in [("tcp", ["tcp", "tcp6"]), ("udp", ["udp", "udp6"])] {
        for name in names {
            let Ok(file) = File::open(format!("/proc/net/{name}")) else { continue };
            // Those that listen come first in the tables of TCP.
            let lines = BufReader::new(file).lines().take(MOST_SOCKETS).map_while(Result::ok);
            for (address, port) in lines.filter_map(|line| listening(protocol, &line)) {
                all.entry(Listener { protocol, port }).or_default().insert(address);
            }
        }
    }
    all
}

/// Where sockets of TCP (6) or UDP (17) listen at a port.
pub(crate) fn listening_at(protocol: u8, port: u16) -> Vec<SocketAddr> {
    let protocol = if protocol == 6 { "tcp" } else { "udp" };
    let addresses = listeners().remove(&Listener { protocol, port });
    addresses.into_iter().flatten().map(|address| SocketAddr::new(address, port)).collect()
}

/// proc_pid_net(5): number, local and remote address, state; a socket that waits for packets of anybody
/// has no remote end.
fn listening(protocol: &str, line: &str) -> Option<(IpAddr, u16)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (_, is_unconnected) = (remote.split_once(':')?, remote.ends_with(":0000"));
    // TCP_LISTEN, and TCP_CLOSE, which an open socket of UDP has.
    let waits = if protocol == "tcp" { "0A" } else { "07" };
    if state != waits || !is_unconnected {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((address_of(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// Words of the address as this machine reads them from memory.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
        place.copy_from_slice(&word(at)?);
    }
    let address = Ipv6Addr::from(bytes);
    Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::from))
}

pub(super) fn findings(listeners: &Listeners, uplinks: &[Uplink]) -> Vec<Finding> {
    let owner = |address: &IpAddr| {
        let has =
            |uplink: &&Uplink| uplink.device.addresses.iter().any(|net| net.addr() == *address);
        let mut owners = uplinks.iter().filter(has);
        let first = owners.next()?;
        owners.next().is_none().then_some(first.device.name.as_str())
    };
    let mut by_address: BTreeMap<(IpAddr, &str), Vec<String>> = BTreeMap::new();
    for (listener, addresses) in listeners {
        let only = |family_is_4: bool| {
            let mut of_family =
                addresses.iter().filter(move |address| address.is_ipv4() == family_is_4);
            of_family.next().filter(|_| of_family.next().is_none())
        };
        // A socket of `::` hears IPv4, too.
        let hears_all = addresses.iter().any(IpAddr::is_unspecified);
        if hears_all || OWN_ADDRESS_ONLY.contains(listener) {
            continue;
        }
        for address in [only(true), only(false)].into_iter().flatten() {
            if let Some(name) = owner(address) {
                let Listener { protocol, port } = listener;
                let services = by_address.entry((*address, name)).or_default();
                services.push(format!("port {port} ({protocol})"));
            }
        }
    }
    // With one uplink there is nobody who would come in by another one.
    if uplinks.len() < 2 {
        return Vec::new();
    }
    by_address
        .into_iter()
        .map(|((address, name), services)| finding(address, name, &services))
        .collect()
}

fn finding(address: IpAddr, name: &str, services: &[String]) -> Finding {
    let evidence = evidence::first(SHOWN, services.iter().cloned());
    let service = match services {
        [one] => format!("a service listens on {address} {one} only"),
        several => format!("{} services listen on {address} only", several.len()),
    };
    Finding {
        severity: Severity::Notice,
        what: format!(
            "{service}, an address of {name}: at the addresses of other uplinks nobody answers"
        ),
        remedy: Some(
            "let it listen on every address, if it is to be reached over every uplink".to_owned(),
        ),
        device: Some(name.to_owned()),
        evidence,
        fix: Some("ss -lntu".to_owned()),
        ..Finding::about(Kind::ListensOnOneAddress, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, two_networks};

    const TCP: &str = "   0: 0A02000A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
    const ESTABLISHED: &str =
        "   1: 0A02000A:0050 0B01000A:9C40 01 00000000:00000000 00:00000000 00000000";

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_read_as_the_kernel_writes_them() {
        assert_eq!(listening("tcp", TCP), Some((ip("10.0.2.10"), 80)));
        assert_eq!(listening("tcp", ESTABLISHED), None);
        let udp = TCP.replace(" 0A ", " 07 ");
        assert_eq!(listening("udp", &udp), Some((ip("10.0.2.10"), 80)));
        let v6 =
            "0: B80D0120020000000000000010000000:0035 00000000000000000000000000000000:0000 07 0";
        assert_eq!(listening("udp", v6), Some((ip("2001:db8:0:2::10"), 53)));
        let mapped = address_of("0000000000000000FFFF00000A02000A");
        assert_eq!(mapped, Some(ip("10.0.2.10")));
        assert_eq!(listening("tcp", "  sl  local_address rem_address   st"), None);
    }

    fn found(addresses: &[&str]) -> Vec<String> {
        let listener = Listener { protocol: "tcp", port: 80 };
        let addresses = addresses.iter().map(|address| ip(address)).collect();
        let listeners = [(listener, addresses)].into();
        let found = findings(&listeners, &two_networks().uplinks());
        found.into_iter().map(|finding| finding.id.to_string()).collect()
    }

    #[test]
    fn a_service_at_one_uplinks_address_is_named() {
        assert_eq!(found(&["192.168.2.10"]), ["listens-on-one-address:192.168.2.10"]);
        assert_eq!(
            found(&["127.0.0.1", "2001:db8:2::10"]),
            ["listens-on-one-address:2001:db8:2::10"]
        );
    }

    #[test]
    fn one_that_hears_more_is_not() {
        assert_eq!(found(&["0.0.0.0"]), [""; 0]);
        assert_eq!(found(&["::"]), [""; 0]);
        assert_eq!(found(&["192.168.1.10", "192.168.2.10"]), [""; 0]);
        assert_eq!(found(&["203.0.113.1"]), [""; 0], "no uplink's");
        assert_eq!(found(&["127.0.0.53"]), [""; 0]);
    }
}
