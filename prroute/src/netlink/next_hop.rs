//! What the kernel announces of next hop objects (`ip nexthop`): `struct nhmsg` (linux/nexthop.h). IPv4
//! routes that use one go with it, or go another way, and are not announced themselves.

use nix::libc::NLM_F_REPLACE;

/// Kinds of messages (linux/rtnetlink.h) that libc does not have.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;
/// `RTM_NEWNEXTHOPBUCKET` to `RTM_GETNEXTHOPBUCKET`: entries of a group that balances by them. They
/// change without anybody's doing, and no route changes by them.
const BUCKETS: std::ops::RangeInclusive<u16> = 116..=118;

/// Whether routes may have changed by it; `None`: a message about something else. A new object is used by
/// no route yet, and those that are made with it are announced.
pub(super) fn of_next_hops(message: &[u8]) -> Option<bool> {
    let number = |at: usize| message.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
    // `struct nlmsghdr`: length, kind, flags.
    let (kind, flags) = (number(4)?, number(6)?);
    match kind {
        RTM_DELNEXTHOP => Some(true),
        RTM_NEWNEXTHOP => Some(i32::from(flags) & NLM_F_REPLACE != 0),
        RTM_GETNEXTHOP => Some(false),
        _ => BUCKETS.contains(&kind).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(kind: u16, flags: u16) -> Option<bool> {
        let mut message = vec![0; 24];
        message[..4].copy_from_slice(&24_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        of_next_hops(&message)
    }

    #[test]
    fn a_next_hop_that_goes_or_is_replaced_may_change_routes() {
        let replace = u16::try_from(NLM_F_REPLACE).unwrap();
        assert_eq!(announced(RTM_DELNEXTHOP, 0), Some(true));
        assert_eq!(announced(RTM_NEWNEXTHOP, replace), Some(true));
        assert_eq!(announced(RTM_NEWNEXTHOP, 0), Some(false), "no route uses it yet");
        assert_eq!(announced(116, replace), Some(false), "a bucket");
        assert_eq!(announced(nix::libc::RTM_NEWROUTE, replace), None);
        assert_eq!(of_next_hops(&[24, 0, 0, 0, 105]), None, "cut off");
    }
}
