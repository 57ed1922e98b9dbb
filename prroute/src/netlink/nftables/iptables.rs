//! What iptables asks and does by matches and targets of its own (structures of linux/netfilter/xt_*.h), where
//! it keeps its rules in nftables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;

use super::expression::{Expression, Verdict};
use super::{text, value};

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// `NFTA_MATCH_NAME`, `NFTA_MATCH_INFO`: structures of linux/netfilter/xt_*.h.
pub(super) fn matching(data: &[u8]) -> Option<Expression> {
    let (name, info) = (value(data, 1).map(text)?, value(data, 3).unwrap_or_default());
    let known = match name.as_str() {
        "comment" => Some(Expression::Passes),
        "udp" => ports(info, info.get(8).copied()),
        // Flags behind the ports.
        "tcp" if info.get(8..11) == Some(&[0, 0, 0]) => ports(info, info.get(11).copied()),
        "conntrack" => state(info),
        "addrtype" => local_destination(info),
        _ => None,
    };
    Some(known.unwrap_or(Expression::Chooses(name)))
}

fn ports(info: &[u8], inverted: Option<u8>) -> Option<Expression> {
    let range = |at| Some((u16_at(info, at)?, u16_at(info, at + 2)?));
    Some(Expression::Ports { source: range(0)?, destination: range(4)?, inverted: inverted? })
}

/// `struct xt_conntrack_mtinfo2` and `3`, where they are about the state alone.
fn state(info: &[u8]) -> Option<Expression> {
    const STATE: u16 = 1;
    let (flags, inverted, mask) = (u16_at(info, 146)?, u16_at(info, 148)?, u16_at(info, 150)?);
    (flags == STATE).then_some(Expression::State { mask, inverted: inverted & STATE != 0 })
}

/// `struct xt_addrtype_info_v1`.
fn local_destination(info: &[u8]) -> Option<Expression> {
    const LOCAL: u16 = 1 << libc::RTN_LOCAL;
    const INVERT_DESTINATION: u32 = 2;
    let (source, destination) = (u16_at(info, 0)?, u16_at(info, 2)?);
    let flags = u32::from_ne_bytes(info.get(4..8)?.try_into().ok()?);
    let is_it = source == 0 && destination == LOCAL && flags & !INVERT_DESTINATION == 0;
    is_it.then_some(Expression::LocalDestination { inverted: flags != 0 })
}

/// `NFTA_TARGET_NAME`, `NFTA_TARGET_INFO`.
pub(super) fn target(data: &[u8]) -> Option<Expression> {
    let (name, info) = (value(data, 1).map(text)?, value(data, 3).unwrap_or_default());
    Some(match name.as_str() {
        "DROP" | "REJECT" => Expression::Decide(Verdict::Drop),
        "MASQUERADE" | "SNAT" => Expression::Decide(Verdict::Accept),
        "REDIRECT" => Expression::Translate { address: None, port: None },
        "DNAT" => dnat(info).unwrap_or(Expression::Decide(Verdict::Unknown)),
        "MARK" | "CONNMARK" => Expression::Marks,
        "NOTRACK" => Expression::Untracks,
        "CT" => connection(info)?,
        "LOG" | "NFLOG" | "TCPMSS" | "CHECKSUM" | "TRACE" | "CLASSIFY" | "SET" => {
            Expression::Passes
        }
        _ => Expression::Decide(Verdict::Unknown),
    })
}

/// `struct xt_ct_target_info`, in each of its revisions: flags come first.
fn connection(info: &[u8]) -> Option<Expression> {
    const NOTRACK: u16 = 1;
    let is_notrack = u16_at(info, 0)? & NOTRACK != 0;
    Some(if is_notrack { Expression::Untracks } else { Expression::Passes })
}

/// `struct nf_nat_range2`: flags, the first and the last address, the first and the last port.
fn dnat(info: &[u8]) -> Option<Expression> {
    const ADDRESS: u32 = 1;
    const PORT: u32 = 2;
    let flags = u32::from_ne_bytes(info.get(..4)?.try_into().ok()?);
    let octets: [u8; 16] = info.get(4..20)?.try_into().ok()?;
    let [a, b, c, d, rest @ ..] = octets;
    // The structure says nothing of the family.
    let address = match rest.iter().all(|octet| *octet == 0) {
        true => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        false => Ipv6Addr::from(octets).into(),
    };
    let port = u16::from_be_bytes(info.get(36..38)?.try_into().ok()?);
    Some(Expression::Translate {
        address: (flags & ADDRESS != 0).then_some(address),
        port: (flags & PORT != 0).then_some(port),
    })
}
