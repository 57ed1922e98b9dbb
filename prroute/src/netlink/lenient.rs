//! Messages with an attribute that cannot be decoded: of a driver, of a newer kernel, or a name
//! that is not UTF-8. The object is there all the same.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use nix::libc::{
    self, RTM_DELADDR, RTM_DELLINK, RTM_DELNEIGH, RTM_DELQDISC, RTM_DELROUTE, RTM_DELRULE,
    RTM_DELTFILTER, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEIGH, RTM_NEWQDISC, RTM_NEWROUTE,
    RTM_NEWRULE, RTM_NEWTFILTER,
};

use super::unreadable::{Object, Unreadable};

type Message = NetlinkMessage<RouteNetlinkMessage>;

const HEADER: usize = size_of::<libc::nlmsghdr>();
const ATTRIBUTE_HEADER: usize = size_of::<libc::nlattr>();

// Neither libc nor nix has these, and netlink-packet-route keeps its own to itself.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// One name that cannot be decoded leaves the others.
const IFLA_PROP_LIST: u16 = 52;
const NDA_PROTOCOL: u16 = 12;
const NDA_FLAGS_EXT: u16 = 15;

/// Of messages of one type: the length of the fixed part, and the attributes without which the rest
/// would say something else.
struct Shape {
    fixed: usize,
    is_essential: fn(u16) -> bool,
}

fn shape(kind: u16) -> Option<Shape> {
    let (fixed, is_essential): (_, fn(u16) -> bool) = match kind {
        RTM_NEWLINK | RTM_DELLINK => (16, |attribute| attribute == IFLA_IFNAME),
        RTM_NEWADDR | RTM_DELADDR => {
            (8, |attribute| matches!(attribute, libc::IFA_ADDRESS | libc::IFA_LOCAL))
        }
        RTM_NEWROUTE | RTM_DELROUTE => (12, |attribute| !says_little_of_a_route(attribute)),
        RTM_NEWNEIGH | RTM_DELNEIGH => {
            (12, |attribute| matches!(attribute, libc::NDA_DST | NDA_PROTOCOL | NDA_FLAGS_EXT))
        }
        // Every attribute selects or acts.
        RTM_NEWRULE | RTM_DELRULE => (12, |_| true),
        RTM_NEWQDISC | RTM_DELQDISC | RTM_NEWTFILTER | RTM_DELTFILTER => (20, |_| false),
        _ => return None,
    };
    Some(Shape { fixed, is_essential })
}

const fn says_little_of_a_route(attribute: u16) -> bool {
    matches!(
        attribute,
        libc::RTA_PREFSRC
            | libc::RTA_METRICS
            | libc::RTA_FLOW
            | libc::RTA_CACHEINFO
            | libc::RTA_PREF
            | libc::RTA_ENCAP_TYPE
            | libc::RTA_ENCAP
            | libc::RTA_EXPIRES
            | libc::RTA_TTL_PROPAGATE
    )
}

/// Decodes a message, if necessary without those attributes that cannot be decoded and are not needed.
///
/// # Errors
///
/// Says which object the message is about, as far as that can be told.
pub(super) fn deserialize(bytes: &[u8]) -> Result<Message, Unreadable> {
    let decoded = match Message::deserialize(bytes) {
        Ok(message) => Ok(message),
        Err(error) => readable(bytes).and_then(|rest| {
            tracing::debug!("attributes of a netlink message passed over: {error}");
            Message::deserialize(&rest).map_err(|error| unreadable(bytes, None, error.to_string()))
        }),
    };
    decoded.and_then(|message| match message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
        ) if !has_name(&link.attributes) => {
            Err(unreadable(bytes, None, "it has no name".to_owned()))
        }
        _ => Ok(message),
    })
}

fn has_name(attributes: &[LinkAttribute]) -> bool {
    let is_name = |one: &LinkAttribute| matches!(one, LinkAttribute::IfName(n) if !n.is_empty());
    attributes.iter().any(is_name)
}

fn kind_of(bytes: &[u8]) -> u16 {
    bytes.get(4..6).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn unreadable(bytes: &[u8], name: Option<String>, error: String) -> Unreadable {
    let kind = kind_of(bytes);
    let object = Object::of(kind, bytes.get(HEADER..).unwrap_or_default(), name);
    // RTM_DEL*: the second of four numbers.
    Unreadable { object, gone: kind >= 16 && kind % 4 == 1, error }
}

/// A message with those of its attributes that can be decoded.
fn readable(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let failed = |error: &str| unreadable(bytes, None, error.to_owned());
    let Some(Shape { fixed, is_essential }) = shape(kind_of(bytes)) else {
        return Err(failed("it has another form"));
    };
    let fixed = HEADER + fixed;
    let head = bytes.get(..fixed).ok_or_else(|| failed("it is cut off"))?;
    let mut kept: Vec<u8> = Vec::new();
    let mut rest = Attributes(&bytes[fixed..]);
    for (kind, attribute) in &mut rest {
        // How one is understood may depend on those before it.
        let is_readable = |attribute: &[u8]| {
            let attributes = [&kept, attribute].concat();
            Message::deserialize(&message(head, &attributes)).is_ok()
        };
        if is_readable(attribute) {
            kept.extend_from_slice(attribute);
        } else if is_essential(kind) {
            let name = (kind == IFLA_IFNAME && kind_of(bytes) < 20).then(|| name(attribute));
            return Err(unreadable(bytes, name, format!("attribute {kind} is not understood")));
        } else if let Some(part) = part(kind, attribute, is_readable) {
            kept.extend(part);
        }
    }
    // What comes behind may be essential.
    if !rest.0.is_empty() {
        return Err(failed("its attributes are cut off"));
    }
    Ok(message(head, &kept))
}

/// A name as it can be shown.
fn name(attribute: &[u8]) -> String {
    let value = attribute.get(ATTRIBUTE_HEADER..).unwrap_or_default();
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    value[..end].escape_ascii().to_string()
}

/// Of an attribute that holds others, what can be decoded: of the details of a link its kind
/// alone, of its other names each.
fn part(attribute: u16, bytes: &[u8], is_readable: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let wanted = |kind: u16| match attribute {
        IFLA_LINKINFO => kind == IFLA_INFO_KIND,
        _ => attribute == IFLA_PROP_LIST,
    };
    let around = |inside: &[u8]| {
        let length = u16::try_from(ATTRIBUTE_HEADER + inside.len()).ok()?;
        Some([&length.to_ne_bytes(), bytes.get(2..4)?, inside].concat())
    };
    let inside = Attributes(bytes.get(ATTRIBUTE_HEADER..)?)
        .filter(|(kind, one)| wanted(*kind) && around(one).is_some_and(|one| is_readable(&one)));
    let inside: Vec<u8> = inside.flat_map(|(_, one)| one.iter().copied()).collect();
    if inside.is_empty() { None } else { around(&inside) }
}

/// Each attribute with its padding, and its type; stops before what is no attribute.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let word = |at: usize| Some(u16::from_ne_bytes(self.0.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(word(0)?), word(2)?);
        if length < ATTRIBUTE_HEADER || length > self.0.len() {
            return None;
        }
        let (attribute, behind) = self.0.split_at(length.next_multiple_of(4).min(self.0.len()));
        self.0 = behind;
        // Without the flags for nested attributes and byte order.
        Some((kind & 0x3fff, attribute))
    }
}

fn message(head: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut message = [head, attributes].concat();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests;
