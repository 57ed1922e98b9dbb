//! The extension headers of IPv6.

use network_types::ip::Ipv6Hdr;

use super::protocol;
use crate::wire::packet::Packet;

/// Extension headers that are walked before a packet counts as malformed. Linux itself sends
/// at most hop-by-hop (BIG TCP), destination options, routing, and destination options again.
pub const MAX_EXTENSION_HEADERS: usize = 6;

#[inline(always)]
pub(super) fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::FRAGMENT
    )
}

/// What is behind the extension headers.
#[derive(Clone, Copy)]
pub(super) struct Walked {
    pub(super) protocol: u8,
    /// From the start of the IPv6 header, in bytes.
    pub(super) length: usize,
    /// Of a fragment header: its offset and the flag for more, as on the wire. 0 for a whole packet, which
    /// an atomic fragment is, too (RFC 6946).
    fragment: u16,
    identification: u32,
}

pub(super) struct Fragment {
    pub(super) identification: u32,
    /// Not the first of its packet: there is nothing to read behind it.
    pub(super) is_later: bool,
}

const OFFSET: u16 = 0xfff8;
const MORE: u16 = 1;

impl Walked {
    #[inline(always)]
    pub(super) fn fragment(&self) -> Option<Fragment> {
        let is_later = self.fragment & OFFSET != 0;
        (self.fragment != 0).then_some(Fragment { identification: self.identification, is_later })
    }
}

/// Walks the extension headers behind an IPv6 header at `offset`; `None` when they do not end.
#[inline(always)]
pub(super) fn walk<P: Packet>(packet: &P, offset: usize, first: u8) -> Option<Walked> {
    let length = Ipv6Hdr::LEN;
    let mut walked = Walked { protocol: first, length, fragment: 0, identification: 0 };
    walk_on(packet, offset, &mut walked).then_some(walked)
}

/// A function of its own in the object, since an ICMP error has two such chains. It returns no structure:
/// the verifier takes the place of one for a pointer that is returned.
#[inline(never)]
fn walk_on<P: Packet>(packet: &P, offset: usize, walked: &mut Walked) -> bool {
    for _ in 0..MAX_EXTENSION_HEADERS {
        match walked.protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let Some([following, length]) = packet.read::<[u8; 2]>(offset + walked.length)
                else {
                    return false;
                };
                walked.protocol = following;
                walked.length += (length as usize + 1) * 8;
            }
            protocol::FRAGMENT => {
                let Some([following, _, high, low, i0, i1, i2, i3]) =
                    packet.read::<[u8; 8]>(offset + walked.length)
                else {
                    return false;
                };
                walked.protocol = following;
                walked.length += 8;
                let fragment = u16::from_be_bytes([high, low]) & (OFFSET | MORE);
                if fragment != 0 {
                    walked.fragment = fragment;
                    walked.identification = u32::from_be_bytes([i0, i1, i2, i3]);
                }
                if fragment & OFFSET != 0 {
                    return true;
                }
            }
            _ => return true,
        }
    }
    false
}
