use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage as Message;

use super::super::steady::RouteItem;
use super::super::{decode, lenient, request};
use super::*;

/// Answers of a kernel, as `tests/netlink.rs` describes them.
macro_rules! answers {
    ($kind:literal) => {
        split(include_bytes!(concat!("../../../tests/netlink/", $kind, ".bin")))
    };
}

fn split(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some((message, behind)) = request::split(rest) {
        all.push(message.to_vec());
        rest = behind;
    }
    all
}

fn read(bytes: &[u8]) -> Result<Message, Unreadable> {
    match lenient::deserialize(bytes)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message),
        other => panic!("{other:?}"),
    }
}

/// The message with one byte, a zero, in one of its attributes.
fn damaged(message: &[u8], fixed: usize, kind: u16) -> Option<Vec<u8>> {
    let word = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
    let mut at = 16 + fixed;
    while word(at + 2) != kind {
        at += usize::from(word(at)).next_multiple_of(4);
        if at >= message.len() {
            return None;
        }
    }
    let behind = at + usize::from(word(at)).next_multiple_of(4);
    let short = [5_u16.to_ne_bytes(), kind.to_ne_bytes(), [0; 2], [0; 2]].concat();
    let mut damaged = [&message[..at], &short, &message[behind..]].concat();
    let length = u32::try_from(damaged.len()).unwrap();
    damaged[..4].copy_from_slice(&length.to_ne_bytes());
    Some(damaged)
}

/// Whichever object's attribute cannot be decoded, it is there as it was.
fn stays<T: Clone + PartialEq + std::fmt::Debug, K: Ord>(
    messages: &[Vec<u8>],
    (fixed, kind): (usize, u16),
    decode: impl Fn(Message) -> Option<T>,
    may_be: impl Fn(&Object, &T) -> bool,
    key: impl Fn(&T) -> K,
) {
    let mut tried = 0;
    let decode = |bytes: &[u8]| read(bytes).ok().and_then(&decode);
    for (number, message) in messages.iter().enumerate() {
        let before: Vec<T> = messages.iter().filter_map(|m| decode(m)).collect();
        let Some(object) = decode(message) else { continue };
        let Some(damaged) = damaged(message, fixed, kind) else { continue };
        tried += 1;
        let unreadable = read(&damaged).expect_err("it can be decoded: no test");
        let others = messages.iter().enumerate().filter(|(other, _)| *other != number);
        let mut found: Vec<T> = others.filter_map(|(_, m)| decode(m)).collect();
        keep_last(&mut found, &before, &[unreadable], &may_be, &key);
        assert!(found.contains(&object), "{object:?} is gone");
        assert_eq!(found.len(), before.len());
    }
    assert!(tried > 1, "no test");
}

#[test]
fn what_cannot_be_decoded_is_taken_to_be_as_it_was() {
    let link = |message| match message {
        Message::NewLink(link) => Some(decode::link(link)),
        _ => None,
    };
    stays(&answers!("links"), (16, 3), link, Object::may_be_link, |l| l.ifindex);
    let address = |message| match message {
        Message::NewAddress(address) => decode::address(&address),
        _ => None,
    };
    let key = |a: &Address| (a.ifindex, a.net);
    stays(&answers!("addresses"), (8, 1), address, Object::may_be_address, key);
    let route = |message| match message {
        Message::NewRoute(route) => decode::route(&route).map(RouteItem::Whole),
        _ => None,
    };
    let may_be = |object: &Object, route: &RouteItem| route.is_about(object);
    stays(&answers!("routes"), (12, 1), route, may_be, RouteItem::key);
    let rule = |message| match message {
        Message::NewRule(rule) => decode::rule(&rule),
        _ => None,
    };
    stays(&answers!("rules"), (12, 6), rule, Object::may_be_rule, Rule::clone);
}

#[test]
fn what_is_announced_all_the_time_is_read_now_and_then() {
    let start = Instant::now();
    let mut reread = Reread::default();
    assert!(reread.ask(start));
    assert!(!reread.ask(start + Duration::from_secs(1)));
    assert!(!reread.expire(start + Duration::from_secs(2)));
    assert_eq!(reread.due(), Some(start + PAUSE));
    // What came last is read too.
    assert!(reread.expire(start + PAUSE));
    assert_eq!(reread.due(), None);
}
