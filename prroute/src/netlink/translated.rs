//! Flows whose destination is translated (DNAT), and to whom: all that connection tracking has
//! (`IPCTNL_MSG_CT_GET`, linux/netfilter/nfnetlink_conntrack.h).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::conntrack::{GET, MODULE, NEW, ORIGINAL, REPLY};
use super::netfilter::{HEADERS, Read, each, is_loaded, request, value};

/// What a host with very many translated flows does not get read to the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// `CTA_STATUS`.
const STATUS: u16 = 3;
/// `IPS_DST_NAT`.
const DESTINATION_NAT: u32 = 1 << 5;

/// A flow as its first packet had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Original {
    pub protocol: u8,
    /// Of an echo port 0.
    pub remote: SocketAddr,
    /// Of an echo the identifier is the port.
    pub local: SocketAddr,
}

/// Whom each translated flow of the calling thread's network namespace goes to. None where they cannot be
/// read; not all where there are too many.
pub fn translated() -> HashMap<Original, SocketAddr> {
    if !is_loaded(MODULE) {
        return HashMap::new();
    }
    let read = each(&request(GET, 0, &status()), NEW, PATIENCE, translation);
    read.unwrap_or_else(Read::failed).found.into_iter().collect()
}

/// Those with this status alone, as kernels that know the filter understand it; others send all.
fn status() -> [u8; 8] {
    let mut attribute = [0; 8];
    attribute[..2].copy_from_slice(&8_u16.to_ne_bytes());
    attribute[2..4].copy_from_slice(&STATUS.to_ne_bytes());
    attribute[4..].copy_from_slice(&DESTINATION_NAT.to_be_bytes());
    attribute
}

/// What a tuple says; ports, or of an echo its identifier.
struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: Option<[u16; 2]>,
    identifier: Option<u16>,
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    /// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`.
    const IP: u16 = 1;
    const PROTOCOL: u16 = 2;
    let (ip, protocol) = (value(bytes, IP)?, value(bytes, PROTOCOL)?);
    // `CTA_IP_*`: source and destination of IPv4, and of IPv6.
    let v4 = |kind| Some(IpAddr::from(<[u8; 4]>::try_from(value(ip, kind)?).ok()?));
    let v6 = |kind| Some(IpAddr::from(<[u8; 16]>::try_from(value(ip, kind)?).ok()?));
    // `CTA_PROTO_*`: source and destination port, identifier of ICMP and of ICMPv6.
    let number = |kind| Some(u16::from_be_bytes(value(protocol, kind)?.try_into().ok()?));
    Some(Tuple {
        source: v4(1).or_else(|| v6(3))?,
        destination: v4(2).or_else(|| v6(4))?,
        protocol: *value(protocol, 1)?.first()?,
        ports: number(2).zip(number(3)).map(|(source, destination)| [source, destination]),
        identifier: number(4).or_else(|| number(7)),
    })
}

/// A flow, and who answers it; `None`: its destination is not translated.
fn translation(message: &[u8]) -> Option<(Original, SocketAddr)> {
    let attributes = message.get(HEADERS..)?;
    let status = value(attributes, STATUS)?.try_into().ok().map(u32::from_be_bytes)?;
    if status & DESTINATION_NAT == 0 {
        return None;
    }
    let (there, back) = (tuple(value(attributes, ORIGINAL)?)?, tuple(value(attributes, REPLY)?)?);
    let [remote, local] = there.ports.unwrap_or([0, there.identifier.unwrap_or_default()]);
    let original = Original {
        protocol: there.protocol,
        remote: SocketAddr::new(there.source, remote),
        local: SocketAddr::new(there.destination, local),
    };
    let [port, _] = back.ports.unwrap_or_default();
    Some((original, SocketAddr::new(back.source, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the flag of nested attributes where it has some.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        attribute(kind | 1 << 15, &parts.concat())
    }

    fn tuple(kind: u16, [source, destination]: [[u8; 4]; 2], upper: &[Vec<u8>]) -> Vec<u8> {
        let ip = nested(1, &[attribute(1, &source), attribute(2, &destination)]);
        nested(kind, &[ip, nested(2, upper)])
    }

    fn message(status: u32, there: Vec<u8>, back: Vec<u8>) -> Vec<u8> {
        let status = attribute(STATUS, &status.to_be_bytes());
        [vec![0; HEADERS], there, back, status].concat()
    }

    const CLIENT: [u8; 4] = [198, 51, 100, 11];
    const HOST: [u8; 4] = [203, 0, 113, 1];
    const GUEST: [u8; 4] = [172, 17, 0, 2];

    #[test]
    fn a_translated_flow_has_the_guest_that_answers() {
        let tcp = |source: u16, destination: u16| {
            let [source, destination] = [source, destination].map(u16::to_be_bytes);
            [attribute(1, &[6]), attribute(2, &source), attribute(3, &destination)]
        };
        let there = tuple(ORIGINAL, [CLIENT, HOST], &tcp(40_000, 8080));
        let back = tuple(REPLY, [GUEST, CLIENT], &tcp(80, 40_000));
        let found = message(0x1a | DESTINATION_NAT, there.clone(), back.clone());
        let expected = Original {
            protocol: 6,
            remote: "198.51.100.11:40000".parse().unwrap(),
            local: "203.0.113.1:8080".parse().unwrap(),
        };
        assert_eq!(translation(&found), Some((expected, "172.17.0.2:80".parse().unwrap())));
        for length in 0..found.len() {
            assert_eq!(translation(&found[..length]), None, "cut at {length}");
        }
        let untranslated = message(0x1a, there, back);
        assert_eq!(translation(&untranslated), None, "a kernel without the filter sends all");
    }

    #[test]
    fn an_echo_has_its_identifier_as_flows_have_it() {
        let echo = [attribute(1, &[1]), attribute(4, &7_u16.to_be_bytes())];
        let there = tuple(ORIGINAL, [CLIENT, HOST], &echo);
        let back = tuple(REPLY, [GUEST, CLIENT], &echo);
        let (original, guest) = translation(&message(DESTINATION_NAT, there, back)).unwrap();
        assert_eq!((original.remote.port(), original.local.port()), (0, 7));
        assert_eq!(guest, "172.17.0.2:0".parse().unwrap());
    }
}
