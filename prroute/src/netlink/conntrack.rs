//! What connection tracking knows of one flow: to whom its packets are translated
//! (linux/netfilter/nfnetlink_conntrack.h).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use nix::libc;

use super::netfilter::{HEADER, HEADERS, each, is_loaded, value};

pub(super) const MODULE: &str = "nf_conntrack_netlink";
/// `IPCTNL_MSG_CT_NEW` and `IPCTNL_MSG_CT_GET`, which libc does not have.
pub(super) const NEW: u16 = (libc::NFNL_SUBSYS_CTNETLINK << 8) as u16;
pub(super) const GET: u16 = NEW | 1;
/// For one answer, which the kernel gives at once.
const PATIENCE: Duration = Duration::from_millis(250);
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`; in them `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`.
pub(super) const ORIGINAL: u16 = 1;
pub(super) const REPLY: u16 = 2;
const IP: u16 = 1;
const PROTOCOL: u16 = 2;

/// Who answers the packets that `client` sends to `local`: `local` itself, where nothing is translated;
/// `None`: the flow is not known.
///
/// # Errors
///
/// When the kernel cannot be asked, or would have to load a module for it.
pub fn server_of(
    protocol: u8,
    client: SocketAddr,
    local: SocketAddr,
) -> io::Result<Option<SocketAddr>> {
    if !is_loaded(MODULE) {
        return Ok(None);
    }
    match each(&request(protocol, client, local), NEW, PATIENCE, server) {
        Ok(read) => Ok(read.found.into_iter().next()),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// `CTA_IP_*` and `CTA_PROTO_*`.
fn request(protocol: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let is_v4 = to.is_ipv4();
    let (source, destination) = if is_v4 { (1, 2) } else { (3, 4) };
    let ip =
        [attribute(source, &octets(from.ip())), attribute(destination, &octets(to.ip()))].concat();
    let mut ends = attribute(1, &[protocol]);
    match i32::from(protocol) {
        libc::IPPROTO_ICMP => ends.extend(echo([4, 5, 6], 8, from.port())),
        libc::IPPROTO_ICMPV6 => ends.extend(echo([7, 8, 9], 128, from.port())),
        _ => {
            ends.extend(attribute(2, &from.port().to_be_bytes()));
            ends.extend(attribute(3, &to.port().to_be_bytes()));
        }
    }
    let tuple = [attribute(IP | NESTED, &ip), attribute(PROTOCOL | NESTED, &ends)].concat();
    let mut bytes = vec![0; HEADERS];
    bytes[4..6].copy_from_slice(&GET.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    let family = if is_v4 { libc::AF_INET } else { libc::AF_INET6 };
    bytes[HEADER] = u8::try_from(family).unwrap_or_default();
    bytes.extend(attribute(ORIGINAL | NESTED, &tuple));
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// Identifier, type and code of an echo request.
fn echo([id, kind, code]: [u16; 3], request: u8, identifier: u16) -> Vec<u8> {
    let id = attribute(id, &identifier.to_be_bytes());
    [id, attribute(kind, &[request]), attribute(code, &[0])].concat()
}

/// The sender of what goes back.
fn server(message: &[u8]) -> Option<SocketAddr> {
    let back = value(message.get(HEADERS..)?, REPLY)?;
    let ip = value(back, IP)?;
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(value(ip, 1)?).ok()?));
    let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(value(ip, 3)?).ok()?));
    let address = v4().or_else(v6)?;
    let port = value(value(back, PROTOCOL)?, 2);
    let port = port.and_then(|port| port.try_into().ok()).map_or(0, u16::from_be_bytes);
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_who_sends_what_goes_back() {
        let ip = [attribute(1, &[172, 17, 0, 2]), attribute(2, &[198, 51, 100, 11])].concat();
        let ends = [attribute(1, &[6]), attribute(2, &8080_u16.to_be_bytes())].concat();
        let tuple = [attribute(IP | NESTED, &ip), attribute(PROTOCOL | NESTED, &ends)].concat();
        let mut message = vec![0; HEADERS];
        message.extend(attribute(ORIGINAL | NESTED, &[]));
        message.extend(attribute(REPLY | NESTED, &tuple));
        assert_eq!(server(&message), Some("172.17.0.2:8080".parse().unwrap()));
        for length in 0..message.len() {
            assert_eq!(server(&message[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_request_names_both_ends() {
        let ends = ["198.51.100.11:40000", "203.0.113.1:8080"].map(|end| end.parse().unwrap());
        let asked = request(6, ends[0], ends[1]);
        let tuple = value(&asked[HEADERS..], ORIGINAL).unwrap();
        assert_eq!(value(value(tuple, IP).unwrap(), 2), Some(&[203, 0, 113, 1][..]));
        assert_eq!(value(value(tuple, PROTOCOL).unwrap(), 3), Some(&[0x1f, 0x90][..]));
    }
}
