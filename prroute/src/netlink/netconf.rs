//! What the kernel announces of IPv4 settings: `struct netconfmsg` and attributes (linux/netconf.h).

use nix::libc::RTM_NEWNETCONF;

use super::netfilter::attributes;
use crate::state::observed::RP_FILTER_STRICT;

/// `struct nlmsghdr`, and `struct netconfmsg` with what fills it up to four bytes.
const HEAD: usize = 20;

/// Attributes: `NETCONFA_FORWARDING` is in the description of a whole interface, which a new one begins with.
const FORWARDING: u16 = 2;
const RP_FILTER: u16 = 3;

/// Whether a message is about settings.
pub(super) fn is_netconf(message: &[u8]) -> bool {
    message.get(4..6) == Some(&RTM_NEWNETCONF.to_ne_bytes())
}

/// Whether it says that somebody made a reverse path filter strict: an interface's, or that of all.
pub(super) fn makes_filter_strict(message: &[u8]) -> bool {
    let mut is_strict = false;
    for (kind, value) in attributes(message.get(HEAD..).unwrap_or_default()) {
        match kind {
            FORWARDING => return false,
            RP_FILTER => is_strict = value == i32::from(RP_FILTER_STRICT).to_ne_bytes(),
            _ => {}
        }
    }
    is_strict
}

#[cfg(test)]
mod tests {
    use super::*;

    const IFINDEX: u16 = 1;

    fn message(attributes: &[(u16, i32)]) -> Vec<u8> {
        let mut message = vec![0; HEAD];
        message[4..6].copy_from_slice(&RTM_NEWNETCONF.to_ne_bytes());
        for (kind, value) in attributes {
            message.extend(8_u16.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(value.to_ne_bytes());
        }
        message
    }

    #[test]
    fn a_filter_that_becomes_strict_is_told_from_what_else_is_announced() {
        // NETCONFA_IFINDEX_ALL is -1.
        for ifindex in [-1, 7] {
            let strict =
                |value| makes_filter_strict(&message(&[(IFINDEX, ifindex), (RP_FILTER, value)]));
            assert!(strict(1));
            assert!(!strict(0) && !strict(2));
        }
        let another = [(IFINDEX, 7), (FORWARDING, 1), (RP_FILTER, 1)];
        assert!(!makes_filter_strict(&message(&another)), "a new interface");
        assert!(!makes_filter_strict(&message(&[(IFINDEX, 7)])));
        assert!(is_netconf(&message(&[])) && !is_netconf(&[0; HEAD]));
    }

    #[test]
    fn what_is_cut_off_or_nonsense_says_nothing_and_comes_to_an_end() {
        let whole = message(&[(IFINDEX, 7), (RP_FILTER, 1)]);
        for length in 0..whole.len() {
            assert!(!makes_filter_strict(&whole[..length]), "{length} bytes");
        }
        assert!(!makes_filter_strict(&[0; 64]));
    }
}
