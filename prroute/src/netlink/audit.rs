//! What must hold for any bytes that claim to come from the kernel; for tests and fuzzing.

use std::hint::black_box;
use std::time::Instant;

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;

use super::relevance::Relevance;
use super::unreadable::Object;
use super::{decode, lenient, nftables, request};

/// Takes a datagram as the daemon does, as an answer and as an announcement.
///
/// # Errors
///
/// Says which rule is broken.
pub fn check(datagram: &[u8]) -> Result<(), String> {
    let mut relevance = Relevance::default();
    let mut rest = datagram;
    while let Some((message, behind)) = request::split(rest) {
        if behind.len() >= rest.len() {
            return Err("no progress".to_owned());
        }
        rest = behind;
        request::check(message);
        black_box(nftables::rule(message));
        match lenient::deserialize(message) {
            Ok(decoded) => {
                if let NetlinkPayload::InnerMessage(decoded) = decoded.payload {
                    object(&decoded)?;
                    relevance.judge(decoded);
                }
            }
            Err(unreadable) => {
                let said = unreadable.to_string();
                if said.is_empty() || said.contains(char::is_control) {
                    return Err(format!("said {said:?}"));
                }
                relevance.unreadable(&unreadable, Instant::now());
            }
        }
    }
    Ok(())
}

/// Index and name of the link that the first message of a datagram is about; no name: none that can
/// be used.
pub fn link(datagram: &[u8]) -> Option<(u32, Option<String>)> {
    let (message, _) = request::split(datagram)?;
    match lenient::deserialize(message) {
        Ok(decoded) => match decoded.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                let link = decode::link(link);
                Some((link.ifindex.0, Some(link.name)))
            }
            _ => None,
        },
        Err(unreadable) => match unreadable.object {
            Object::Link { ifindex, .. } => Some((ifindex.0, None)),
            _ => None,
        },
    }
}

fn object(message: &RouteNetlinkMessage) -> Result<(), String> {
    use RouteNetlinkMessage as Message;
    match message {
        Message::NewLink(message) | Message::DelLink(message) => {
            let link = decode::link(message.clone());
            if link.name.is_empty() {
                return Err(format!("a link without a name: {link:?}"));
            }
        }
        Message::NewAddress(message) | Message::DelAddress(message) => {
            black_box(decode::address(message));
        }
        Message::NewRoute(message) | Message::DelRoute(message) => {
            black_box(decode::validity(message).is_ok());
            black_box(decode::route(message).map(|route| route.to_string()));
        }
        Message::NewRule(message) | Message::DelRule(message) => {
            black_box(decode::rule(message).map(|rule| rule.to_string()));
        }
        Message::NewNeighbour(message) | Message::DelNeighbour(message) => {
            black_box(decode::neighbour(message));
        }
        _ => {}
    }
    Ok(())
}
