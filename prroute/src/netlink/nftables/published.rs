//! Where `dnat` of nftables, and the target DNAT of iptables-nft, send packets.

use std::net::Ipv4Addr;

use super::{HEADERS, attributes, number, text, value};

/// `NFT_NAT_DNAT`, which libc does not have.
const DNAT: u32 = 1;

/// The addresses of IPv4 that a rule translates destinations to; `None`: it translates none.
pub(super) fn destinations(message: &[u8]) -> Option<Vec<Ipv4Addr>> {
    /// `NFTA_RULE_EXPRESSIONS`.
    const EXPRESSIONS: u16 = 4;
    let rule = message.get(HEADERS..)?;
    let mut loaded = Vec::new();
    let mut translates = false;
    for (_, expression) in attributes(value(rule, EXPRESSIONS)?) {
        let name = value(expression, 1).map(text).unwrap_or_default();
        let data = value(expression, 2).unwrap_or_default();
        match name.as_str() {
            // `NFTA_IMMEDIATE_DATA`, `NFTA_DATA_VALUE`: into a register that `nat` names.
            "immediate" => loaded.extend(value(data, 2).and_then(|data| address(value(data, 1)?))),
            // `NFTA_NAT_TYPE`.
            "nat" => translates |= number(data, 1) == Some(DNAT),
            // `NFTA_TARGET_NAME`, and `NFTA_TARGET_INFO` with `struct nf_nat_range2`: flags, then the
            // first address.
            "target" if value(data, 1).map(text).as_deref() == Some("DNAT") => {
                translates = true;
                loaded.extend(value(data, 3).and_then(|range| address(range.get(4..8)?)));
            }
            _ => {}
        }
    }
    translates.then_some(loaded)
}

/// A port has another length.
fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}
