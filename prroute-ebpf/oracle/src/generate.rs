//! Frames of every kind for properties, and ways to spoil them.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prroute_common::flow::Origin;

use crate::facts::{FACTS, Facts};
use crate::frame::{Extension, Frame, Upper};

/// Addresses that the fixture of the program runs knows, and some of which it knows nothing.
pub const ADDRESSES4: [&str; 6] =
    ["203.0.113.9", "192.0.2.80", "10.0.1.2", "10.0.2.2", "198.51.100.7", "224.0.0.5"];
pub const ADDRESSES6: [&str; 6] =
    ["2001:db8:9::9", "2001:db8::80", "fd00:1::2", "fd00:2::2", "2001:db8:7::7", "fe80::1"];

/// Types of ICMP errors in either family.
const ERRORS: [u8; 8] = [1, 2, 3, 4, 5, 11, 12, 127];
/// Without ports: IGMP, IP in IP, GRE, ESP, AH, OSPF, no next header, one without a name.
const BARE: [u8; 8] = [2, 4, 47, 50, 51, 89, 59, 253];
const WALKED: [u8; 3] = [0, 43, 60];

/// A valid frame: nothing is cut, and nothing lies.
pub fn frame() -> impl Strategy<Value = Frame> {
    let quoted = (addresses(), quotable()).prop_map(|((source, destination), upper)| {
        // What an error quotes was sent by whom the error is for.
        Frame { payload: Vec::new(), ..Frame::plain(source, destination, upper) }
    });
    let upper = prop_oneof![
        8 => quotable(),
        1 => (select(ERRORS.to_vec()), any::<u8>(), quoted)
            .prop_map(|(kind, code, quoted)| Upper::Error { kind, code, quoted: quoted.into() }),
    ];
    let extensions = prop_oneof![
        4 => Just(Vec::new()),
        1 => vec((select(WALKED.to_vec()), 0..4u8), 1..8),
    ];
    let fragment = prop_oneof![
        6 => Just(None),
        1 => (prop_oneof![Just(0u16), 1..4u16, 1..0x1fff_u16], any::<bool>(), any::<u32>())
            .prop_map(Some),
    ];
    let tag = option::weighted(0.05, (select(vec![0x8100, 0x88a8]), any::<u16>()));
    (addresses(), 0..=10u8, extensions, fragment, upper, vec(any::<u8>(), 0..64), tag).prop_map(
        |((source, destination), option_words, extensions, fragment, upper, payload, tag)| {
            let mut frame = Frame {
                source,
                destination,
                option_words,
                extensions: extensions
                    .into_iter()
                    .map(|(number, length)| Extension { number, length })
                    .collect(),
                fragment,
                upper,
                payload,
                tag,
            };
            if let Upper::Error { quoted, .. } = &mut frame.upper {
                (quoted.source, quoted.destination) = (destination, source);
                frame.payload.clear();
            }
            frame
        },
    )
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let pair = |all: [&'static str; 6]| {
        let all: Vec<IpAddr> = all.iter().filter_map(|address| address.parse().ok()).collect();
        (select(all.clone()), select(all))
    };
    prop_oneof![pair(ADDRESSES4), pair(ADDRESSES6)]
}

fn ports() -> impl Strategy<Value = [u16; 2]> {
    prop_oneof![Just([40_000, 443]), Just([443, 40_000]), any::<[u16; 2]>()]
}

fn quotable() -> impl Strategy<Value = Upper> {
    let flags = prop_oneof![Just(0x02), Just(0x12), Just(0x10), Just(0x14), any::<u8>()];
    prop_oneof![
        3 => (ports(), flags, any::<[u32; 2]>(), 0..=10u8).prop_map(
            |(ports, flags, numbers, option_words)| Upper::Tcp {
                ports,
                flags,
                numbers,
                option_words
            }
        ),
        2 => ports().prop_map(|ports| Upper::Udp { ports }),
        1 => (ports(), 0..16u8).prop_map(|(ports, chunk)| Upper::Sctp { ports, chunk }),
        1 => (select(vec![33, 136]), ports())
            .prop_map(|(protocol, ports)| Upper::Ports { protocol, ports }),
        2 => any::<(bool, u16)>()
            .prop_map(|(is_request, identifier)| Upper::Echo { is_request, identifier }),
        1 => select(BARE.to_vec()).prop_map(|protocol| Upper::Bare { protocol }),
    ]
}

/// What may happen to a frame.
#[derive(Clone, Copy, Debug)]
pub enum Mutation {
    /// Cut to this part of 256.
    Truncate(u8),
    /// Another bit, anywhere.
    Flip(u16),
    /// Another byte among the headers.
    Set(u8, u8),
}

impl Mutation {
    pub fn apply(self, frame: &mut Vec<u8>) {
        match self {
            Self::Truncate(part) => frame.truncate(frame.len() * usize::from(part) / 256),
            Self::Flip(bit) => {
                let at = usize::from(bit / 8) % frame.len().max(1);
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Set(at, value) => {
                if let Some(byte) = frame.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
        }
    }
}

/// A frame, spoilt in up to four ways or not at all.
pub fn spoilt_frame() -> impl Strategy<Value = Vec<u8>> {
    let mutation = prop_oneof![
        any::<u8>().prop_map(Mutation::Truncate),
        any::<u16>().prop_map(Mutation::Flip),
        any::<(u8, u8)>().prop_map(|(at, value)| Mutation::Set(at, value)),
    ];
    (frame(), vec(mutation, 0..=4)).prop_map(|(frame, mutations)| {
        let mut bytes = frame.bytes();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        bytes
    })
}

/// What may be known besides the packet.
pub fn facts() -> impl Strategy<Value = [u8; FACTS]> {
    let numbers = (any::<u8>(), any::<u8>(), any::<u8>());
    let plausible = (1..=2u8, 1..=2u8, any::<bool>(), numbers).prop_map(
        |(here, recorded, is_inbound, (locality, bits, past))| {
            let origin = if is_inbound { Origin::Inbound } else { Origin::Host };
            Facts::encode(here, recorded, origin, locality, bits, past)
        },
    );
    prop_oneof![plausible, any::<[u8; FACTS]>()]
}
