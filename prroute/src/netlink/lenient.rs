//! Messages with an attribute that cannot be decoded: of a driver, or of a newer kernel. A link or
//! an address is there all the same.

use netlink_packet_core::{DecodeError, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Length of `nlmsghdr`, and of an attribute's header.
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// `RTM_NEWLINK`, `RTM_DELLINK`, `RTM_NEWADDR`, `RTM_DELADDR`.
const LINKS: [u16; 2] = [16, 17];
const ADDRESSES: [u16; 2] = [20, 21];

/// `IFLA_LINKINFO`, and of what it holds `IFLA_INFO_KIND`.
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;

/// Decodes a message, if need be without what cannot be decoded.
pub(super) fn deserialize(bytes: &[u8]) -> Result<Message, DecodeError> {
    Message::deserialize(bytes).or_else(|error| match readable(bytes) {
        Some(rest) => {
            tracing::debug!("attributes of a netlink message passed over: {error}");
            Message::deserialize(&rest)
        }
        None => Err(error),
    })
}

/// A link's or address's message with those attributes that can be decoded.
fn readable(bytes: &[u8]) -> Option<Vec<u8>> {
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let fixed = match kind {
        _ if LINKS.contains(&kind) => HEADER + 16,
        _ if ADDRESSES.contains(&kind) => HEADER + 8,
        _ => return None,
    };
    let head = bytes.get(..fixed)?;
    let is_readable = |attribute: &[u8]| Message::deserialize(&message(head, attribute)).is_ok();
    let mut kept = Vec::new();
    for (kind, attribute) in attributes(&bytes[fixed..]) {
        if is_readable(attribute) {
            kept.extend_from_slice(attribute);
        } else if let Some(kind) = kind_only(kind, attribute).filter(|kind| is_readable(kind)) {
            kept.extend(kind);
        }
    }
    Some(message(head, &kept))
}

/// Of the details of a link its kind alone.
fn kind_only(attribute: u16, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut inside = attributes(bytes.get(ATTRIBUTE_HEADER..).filter(|_| attribute == LINK_INFO)?);
    let (_, kind) = inside.find(|(attribute, _)| *attribute == INFO_KIND)?;
    let length = u16::try_from(ATTRIBUTE_HEADER + kind.len()).ok()?;
    Some([&length.to_ne_bytes(), &bytes[2..4], kind].concat())
}

/// Each attribute with its padding, and its type.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u16::from_ne_bytes(rest.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(word(0)?), word(2)?);
        if length < ATTRIBUTE_HEADER || length > rest.len() {
            return None;
        }
        let (attribute, behind) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
        rest = behind;
        // Without the flags for nested attributes and byte order.
        Some((kind & 0x3fff, attribute))
    })
}

fn message(head: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut message = [head, attributes].concat();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests;
