//! What the kernel sends, whole, damaged and made up: nothing panics, and a link keeps its index and
//! its name.
//!
//! `netlink/*.bin` are answers of Linux 6.18 to dumps, without port and sequence number: three veths
//! and a tun, one with an alias, one with an altname and one with a name in Latin-1; routes with
//! several next hops, `via inet6`, metrics, a source; rules of many kinds. What the fuzzer found is
//! in `netlink/found`.

use std::path::Path;

use proptest::prelude::*;
use prroute::netlink::audit;

const KINDS: [&str; 6] = ["links", "addresses", "routes", "rules", "neighbours", "qdiscs"];

/// `nlmsghdr`, and with it `ifinfomsg`.
const HEADER: usize = 16;
const LINK_HEADER: usize = 32;
const IFNAME: u16 = 3;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netlink")
}

fn answers(kind: &str) -> Vec<Vec<u8>> {
    let all = std::fs::read(folder().join(format!("{kind}.bin"))).expect("read the answers");
    let mut rest = all.as_slice();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        messages.push(rest[..length].to_vec());
        rest = &rest[length.next_multiple_of(4)..];
    }
    messages
}

fn every_answer() -> Vec<Vec<u8>> {
    KINDS.iter().flat_map(|kind| answers(kind)).collect()
}

/// The attributes of a link's message: their type, where they begin and end.
fn attributes(message: &[u8]) -> Vec<(u16, usize, usize)> {
    let word = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
    let mut at = LINK_HEADER;
    let mut found = Vec::new();
    while at < message.len() {
        let end = at + usize::from(word(at));
        found.push((word(at + 2), at, end));
        at = end.next_multiple_of(4);
    }
    found
}

#[test]
fn what_the_kernel_sends_is_understood() {
    for message in every_answer() {
        audit::check(&message).unwrap();
    }
    let links: Vec<_> =
        answers("links").iter().filter_map(|message| audit::link(message)).collect();
    assert_eq!(links.len(), answers("links").len());
    let unnamed = links.iter().filter(|(_, name)| name.is_none()).count();
    assert_eq!(unnamed, 1, "but for the name in Latin-1: {links:?}");
}

#[test]
fn what_the_fuzzer_found_stays_mended() {
    for entry in std::fs::read_dir(folder().join("found")).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        audit::check(&input).unwrap_or_else(|broken| panic!("{}: {broken}", path.display()));
    }
}

/// Each byte of each message; each length that it may be cut to.
#[test]
fn no_damaged_byte_is_a_panic_or_another_link() {
    for message in every_answer() {
        let is_link = message[4] == 16;
        let name = audit::link(&message).and_then(|(_, name)| name);
        let fields = if is_link { attributes(&message) } else { Vec::new() };
        for at in HEADER..message.len() {
            let changes: &[u8] = if at % 4 == 0 { &[0x01, 0x80, 0xff] } else { &[0xff] };
            for change in changes {
                let mut damaged = message.clone();
                damaged[at] ^= change;
                audit::check(&damaged).unwrap();
                if !is_link || at < LINK_HEADER {
                    continue;
                }
                let (index, found) = audit::link(&damaged).expect("it is a link");
                assert_eq!(Some(index), audit::link(&message).map(|(index, _)| index));
                let (kind, start, _) = *fields.iter().rfind(|(_, start, _)| *start <= at).unwrap();
                if kind == IFNAME {
                    continue;
                }
                if at >= start + 4 {
                    assert_eq!(found, name, "byte {at} of a link");
                } else {
                    assert!(found.is_none() || found == name, "byte {at}: {found:?}");
                }
            }
        }
        for length in 0..message.len() {
            let mut cut = message[..length].to_vec();
            audit::check(&cut).unwrap();
            if let Some(field) = cut.get_mut(..4) {
                field.copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
            }
            audit::check(&cut).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes_nothing_panics(
        kind in prop_oneof![0_u16..120, any::<u16>()],
        body in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let length = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes();
        let header = [&length[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        prop_assert_eq!(audit::check(&[header, body.clone()].concat()), Ok(()));
        prop_assert_eq!(audit::check(&body), Ok(()));
    }

    #[test]
    fn several_damages_at_once_are_no_panic(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut message = which.get(&every_answer()).clone();
        for (at, value) in damages {
            let at = at.index(message.len());
            message[at] = value;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        prop_assert_eq!(audit::check(&message), Ok(()));
    }
}
